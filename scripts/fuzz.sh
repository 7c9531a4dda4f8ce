#!/usr/bin/env bash
# Runs the fuzz targets of the decoders, one after another. A crash ends the script and prints the input's file.
#
#     fuzz.sh                  every target
#     fuzz.sh wire csv         these targets
#
# NETCRAB_FUZZ_SECONDS     seconds for each target; default 60
# NETCRAB_FUZZ_SANITIZER   `none` (default) runs on the stable compiler; `address` needs a nightly
#
# cargo-fuzz and its builds are cached outside the tree. Inputs that reach new code are stored in
# sources/fuzz/corpus, crashes in sources/fuzz/artifacts.
set -euo pipefail

version=0.13.2
cache="${NETCRAB_CACHE:-$HOME/.cache/netcrab}/fuzz"
root="$(cd "$(dirname "$0")/.." && pwd)"
seconds="${NETCRAB_FUZZ_SECONDS:-60}"
sanitizer="${NETCRAB_FUZZ_SANITIZER:-none}"

if [ ! -x "$cache/$version/bin/cargo-fuzz" ]; then
    cargo install cargo-fuzz --quiet --locked --version "$version" --root "$cache/$version"
fi

cd "$root/sources/fuzz"
# The targets build with the versions of the workspace's lock file.
cp "$root/Cargo.lock" Cargo.lock
# Coverage needs unstable flags, which RUSTC_BOOTSTRAP allows on the stable compiler.
export RUSTC_BOOTSTRAP=1
unset CARGO_TARGET_DIR
if [ $# -eq 0 ]; then
    set -- wire batch csv access_log parquet compressed mapping route
fi
for target in "$@"; do
    mkdir -p "corpus/$target"
    if [ "$target" = mapping ]; then
        cp "$root"/docs/mapping-*.toml corpus/mapping/
    else
        cp "seeds/$target"/* "corpus/$target/"
    fi
    "$cache/$version/bin/cargo-fuzz" fuzz run "$target" --fuzz-dir . --sanitizer "$sanitizer" \
        --target-dir "$cache/target" \
        -- -max_total_time="$seconds" -timeout=20 -rss_limit_mb=4096 -print_final_stats=1
done
