# What the scripts share. Sourced, never run: `. script/lib.sh` from the repository's root.
# shellcheck shell=bash

die() {
  echo "$(basename "$0"): $*" >&2
  exit 1
}

need_rust() {
  command -v cargo >/dev/null || die "Rust is missing: install it with rustup (https://rustup.rs), then run this again"
}

# The directory of this machine's initdb, postgres and psql; Debian keeps them out of PATH.
postgres_bin() {
  local dir
  for dir in "$(dirname "$(readlink -f "$(command -v postgres || echo /nonexistent)")")" \
    /usr/lib/postgresql/*/bin /usr/pgsql-*/bin /usr/libexec/postgresql* /opt/homebrew/opt/postgresql@*/bin; do
    if [[ -x $dir/initdb && -x $dir/postgres && -x $dir/psql ]]; then
      echo "$dir"
      return
    fi
  done
  return 1
}

has_compiler() {
  echo 'int main(void) { return 0; }' | cc -x c -o /dev/null - 2>/dev/null
}

has_certificates() {
  [[ -e /etc/ssl/certs/ca-certificates.crt || -e /etc/pki/tls/certs/ca-bundle.crt || -e /etc/ssl/cert.pem ]]
}

has_chromium() {
  command -v chromium >/dev/null && command -v chromedriver >/dev/null
}

has_venv() {
  python3 -c 'import ensurepip, venv' 2>/dev/null
}

# need_packages service|tests: installs what is missing to build and run, and for `tests` what these need besides.
need_packages() {
  local missing=() as_root=()
  has_compiler || missing+=(gcc libc6-dev)
  has_certificates || missing+=(ca-certificates)
  postgres_bin >/dev/null || missing+=(postgresql)
  if [[ $1 == tests ]]; then
    has_chromium || missing+=(chromium chromium-driver)
    has_venv || missing+=(python3-venv)
    if [[ -e tests/package-lock.json ]] && ! command -v npm >/dev/null; then
      missing+=(nodejs npm)
    fi
  fi
  ((${#missing[@]})) || return 0

  command -v apt-get >/dev/null \
    || die "missing (by Debian's names): ${missing[*]}; install your system's packages for them, then run this again"
  if ((EUID != 0)); then
    # A sudo that would ask for a password needs somebody to ask.
    { command -v sudo >/dev/null && { sudo -n true 2>/dev/null || [[ -t 0 ]]; }; } \
      || die "missing: ${missing[*]}; install with: apt-get install ${missing[*]}"
    as_root=(sudo)
  fi
  echo "==> install ${missing[*]}"
  "${as_root[@]}" apt-get update -q
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "${missing[@]}"
}
