-- The tables of the first release.

-- An organisation and the vertical it works in.
CREATE TABLE org_settings (
    org_id TEXT PRIMARY KEY,
    vertical TEXT NOT NULL,
    changed_at_ms INTEGER NOT NULL
);

-- What an organisation agreed to contribute to. The product '' stands for all of them; lists are JSON.
CREATE TABLE pack_opt_ins (
    org_id TEXT NOT NULL REFERENCES org_settings (org_id),
    category TEXT NOT NULL,
    product_id TEXT NOT NULL,
    excluded_paths TEXT NOT NULL,
    excluded_segments TEXT NOT NULL,
    opted_in_at_ms INTEGER NOT NULL,
    PRIMARY KEY (org_id, category, product_id)
);

-- Who builds, until when.
CREATE TABLE leases (
    name TEXT PRIMARY KEY,
    holder TEXT NOT NULL,
    until_ms INTEGER NOT NULL
);

-- Released results. Days are ISO, both included; the result is bytes of the builder.
CREATE TABLE pack_versions (
    pack_id TEXT NOT NULL,
    version TEXT NOT NULL,
    major INTEGER NOT NULL,
    minor INTEGER NOT NULL,
    kind TEXT NOT NULL,
    definition TEXT NOT NULL,
    schema_digest TEXT NOT NULL,
    method TEXT NOT NULL,
    input TEXT NOT NULL,
    window_from TEXT NOT NULL,
    window_to TEXT NOT NULL,
    result BLOB NOT NULL,
    status TEXT NOT NULL,
    created_at_ms INTEGER NOT NULL,
    activated_at_ms INTEGER,
    deprecated_at_ms INTEGER,
    revoked_at_ms INTEGER,
    PRIMARY KEY (pack_id, version),
    UNIQUE (pack_id, input)
);

-- Sessions that each organisation contributed to a version.
CREATE TABLE pack_org_membership (
    pack_id TEXT NOT NULL,
    version TEXT NOT NULL,
    org_id TEXT NOT NULL,
    sessions INTEGER NOT NULL,
    PRIMARY KEY (pack_id, version, org_id),
    FOREIGN KEY (pack_id, version) REFERENCES pack_versions (pack_id, version)
);

-- Privacy spent, a row for each spend, with the budget that stood then. Rows are only added.
CREATE TABLE privacy_ledger (
    entry INTEGER PRIMARY KEY AUTOINCREMENT,
    pack_id TEXT NOT NULL,
    version TEXT NOT NULL,
    unit TEXT NOT NULL,
    period TEXT NOT NULL,
    rho REAL NOT NULL,
    delta REAL NOT NULL,
    rho_budget REAL NOT NULL,
    delta_budget REAL NOT NULL,
    at_ms INTEGER NOT NULL,
    FOREIGN KEY (pack_id, version) REFERENCES pack_versions (pack_id, version)
);
CREATE INDEX privacy_ledger_by_period ON privacy_ledger (pack_id, unit, period);

-- What was released and spent stays, also where another program writes here.
CREATE TRIGGER privacy_ledger_keeps_rows BEFORE UPDATE ON privacy_ledger
BEGIN
    SELECT RAISE(ABORT, 'rows of privacy_ledger are only added');
END;
CREATE TRIGGER privacy_ledger_loses_none BEFORE DELETE ON privacy_ledger
BEGIN
    SELECT RAISE(ABORT, 'rows of privacy_ledger are only added');
END;
CREATE TRIGGER pack_versions_stay BEFORE UPDATE OF
    pack_id, version, major, minor, kind, definition, schema_digest, method, input, window_from, window_to, result,
    created_at_ms ON pack_versions
BEGIN
    SELECT RAISE(ABORT, 'a version changes in nothing but its status');
END;
