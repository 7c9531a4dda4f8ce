-- The tables of the first release.

-- An organisation and the vertical it works in.
CREATE TABLE org_settings (
    org_id TEXT PRIMARY KEY,
    vertical TEXT NOT NULL,
    changed_at_ms BIGINT NOT NULL
);

-- What an organisation agreed to contribute to. The product '' stands for all of them; lists are JSON.
CREATE TABLE pack_opt_ins (
    org_id TEXT NOT NULL REFERENCES org_settings (org_id),
    category TEXT NOT NULL,
    product_id TEXT NOT NULL,
    excluded_paths TEXT NOT NULL,
    excluded_segments TEXT NOT NULL,
    opted_in_at_ms BIGINT NOT NULL,
    PRIMARY KEY (org_id, category, product_id)
);

-- Who builds, until when.
CREATE TABLE leases (
    name TEXT PRIMARY KEY,
    holder TEXT NOT NULL,
    until_ms BIGINT NOT NULL
);

-- Released results. Days are ISO, both included; the result is bytes of the builder.
CREATE TABLE pack_versions (
    pack_id TEXT NOT NULL,
    version TEXT NOT NULL,
    major BIGINT NOT NULL,
    minor BIGINT NOT NULL,
    kind TEXT NOT NULL,
    definition TEXT NOT NULL,
    schema_digest TEXT NOT NULL,
    method TEXT NOT NULL,
    input TEXT NOT NULL,
    window_from TEXT NOT NULL,
    window_to TEXT NOT NULL,
    result BYTEA NOT NULL,
    status TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    activated_at_ms BIGINT,
    deprecated_at_ms BIGINT,
    revoked_at_ms BIGINT,
    PRIMARY KEY (pack_id, version),
    UNIQUE (pack_id, input)
);

-- Sessions that each organisation contributed to a version.
CREATE TABLE pack_org_membership (
    pack_id TEXT NOT NULL,
    version TEXT NOT NULL,
    org_id TEXT NOT NULL,
    sessions BIGINT NOT NULL,
    PRIMARY KEY (pack_id, version, org_id),
    FOREIGN KEY (pack_id, version) REFERENCES pack_versions (pack_id, version)
);

-- Privacy spent, a row for each spend, with the budget that stood then. Rows are only added.
CREATE TABLE privacy_ledger (
    entry BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    pack_id TEXT NOT NULL,
    version TEXT NOT NULL,
    unit TEXT NOT NULL,
    period TEXT NOT NULL,
    rho DOUBLE PRECISION NOT NULL,
    delta DOUBLE PRECISION NOT NULL,
    rho_budget DOUBLE PRECISION NOT NULL,
    delta_budget DOUBLE PRECISION NOT NULL,
    at_ms BIGINT NOT NULL,
    FOREIGN KEY (pack_id, version) REFERENCES pack_versions (pack_id, version)
);
CREATE INDEX privacy_ledger_by_period ON privacy_ledger (pack_id, unit, period);

-- What was released and spent stays, also where another program writes here.
CREATE FUNCTION netcrab_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '%', TG_ARGV[0];
END
$$;
CREATE TRIGGER privacy_ledger_keeps_rows BEFORE UPDATE OR DELETE ON privacy_ledger
FOR EACH ROW EXECUTE FUNCTION netcrab_refuse('rows of privacy_ledger are only added');
CREATE TRIGGER pack_versions_stay BEFORE UPDATE OF
    pack_id, version, major, minor, kind, definition, schema_digest, method, input, window_from, window_to, result,
    created_at_ms ON pack_versions
FOR EACH ROW EXECUTE FUNCTION netcrab_refuse('a version changes in nothing but its status');
