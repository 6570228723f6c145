#!/usr/bin/env bash
# Makes every crate's package as for crates.io and runs its tests from there, so that no test or document needs a file outside of its package.
# Usage: tools/package-tests.sh [flags of `cargo test`…]
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cargo package --quiet --workspace --exclude kexue-python --no-verify --allow-dirty --target-dir "$work/made"
mkdir "$work/packages"
for package in "$work"/made/package/*.crate; do tar -xzf "$package" -C "$work/packages"; done

# A workspace of the packages, with the third-party versions and the profiles of the repository.
cd "$work/packages"
cp "$root/Cargo.lock" .
{
    echo '[workspace]'
    echo 'resolver = "3"'
    echo 'members = ["*"]'
    echo '[patch.crates-io]'
    for folder in */; do echo "${folder%-*} = { path = \"$folder\" }"; done
    sed -n '/^\[profile/,$p' "$root/Cargo.toml"
} > Cargo.toml
echo "testing $(find . -mindepth 1 -maxdepth 1 -type d | wc -l) packages"
CARGO_TARGET_DIR=$target cargo test --workspace "$@"
