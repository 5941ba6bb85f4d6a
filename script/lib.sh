# What the scripts share. Sourced, never run: `. script/lib.sh` from the repository's root.
# shellcheck shell=bash

# runuser stands there, and `su` without a dash leaves it out.
PATH=$PATH:/usr/sbin:/sbin

# Everybody reads packages, and PostgreSQL's account its programs. Whatever makes a secret restricts it itself.
umask 022

# The scripts run what they build from there, wherever the environment or cargo's configuration would put it.
export CARGO_TARGET_DIR=$PWD/target

die() {
  echo "$(basename "$0"): $*" >&2
  exit 1
}

need_rust() {
  # A shell that is older than rustup's installation does not know where cargo is, nor does sudo.
  command -v cargo >/dev/null || PATH=$PATH:${CARGO_HOME:-${HOME:-}/.cargo}/bin
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
  local command
  for command in chromium chromium-headless-shell chromedriver; do
    command -v "$command" >/dev/null || return
  done
}

# as_root COMMAND…: for what only root may do. Fails where nobody could be asked for a password.
as_root() {
  if ((EUID == 0)); then
    "$@"
  else
    # A sudo that would ask for a password needs somebody to ask.
    command -v sudo >/dev/null && { sudo -n true 2>/dev/null || [[ -t 0 ]]; } && sudo "$@"
  fi
}

has_venv() {
  python3 -c 'import ensurepip, venv' 2>/dev/null
}

# package_of COMMAND PACKAGE…: adds the Debian packages to `missing` unless the command is there.
package_of() {
  command -v "$1" >/dev/null || missing+=("${@:2}")
}

# Sets the clocks of replicas in chaos.
faketime_library() {
  find /usr/lib /usr/lib64 /usr/local/lib /opt/homebrew/lib -name 'libfaketimeMT.so.1' -print -quit 2>/dev/null | grep .
}

# need_packages service|audit|chaos|tests: installs what is missing to build and run the service, and what the other three
# need besides.
# Every command that the scripts call is named here, for Debian 12 and 13; the rest comes with every Debian (dpkg,
# coreutils, findutils, grep, sed, util-linux).
need_packages() {
  local missing=()
  has_compiler || missing+=(gcc libc6-dev)
  has_certificates || missing+=(ca-certificates)
  postgres_bin >/dev/null || missing+=(postgresql)
  package_of awk mawk
  package_of diff diffutils
  package_of curl curl
  package_of make make
  [[ $1 != chaos && $1 != tests ]] || faketime_library >/dev/null || missing+=(libfaketime)
  [[ $1 == service || $1 == chaos ]] || has_venv || missing+=(python3-venv)
  if [[ $1 == tests ]]; then
    has_chromium || missing+=(chromium chromium-driver chromium-headless-shell)
    package_of git git
    package_of ldd libc-bin
    package_of mcs mono-mcs mono-runtime libmono-system-net-http4.0-cil libmono-system-runtime4.0-cil
    package_of npm nodejs npm
    package_of openssl openssl
    package_of pgrep procps
    package_of systemd-analyze systemd
    package_of systemd-nspawn systemd-container
  fi
  if ((${#missing[@]})); then
    command -v apt-get >/dev/null \
      || die "missing (by Debian's names): ${missing[*]}; install your system's packages for them, then run this again"
    echo "==> install ${missing[*]}"
    if [[ " ${missing[*]} " == *" postgresql "* ]]; then
      no_main_cluster || die "missing: ${missing[*]}; install with: apt-get install ${missing[*]}"
    fi
    # On a fresh machine, the first upgrades may still hold the lock.
    as_root apt-get update -q \
      && as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends \
        -o DPkg::Lock::Timeout=300 "${missing[@]}" \
      || die "missing: ${missing[*]}; install with: apt-get install ${missing[*]}"
  fi
  if [[ $1 == tests ]]; then
    fetch_tool caddy caddy
    fetch_tool nginx nginx
    # A package of its own since Debian 13.
    fetch_tool promtool promtool prometheus
  fi
}

# Only PostgreSQL's programs are wanted: without this, Debian's package creates a cluster and starts a server on it.
no_main_cluster() {
  local dir=/etc/postgresql-common/createcluster.d
  as_root mkdir -p "$dir" && echo 'create_main_cluster = false' | as_root tee "$dir/skycms-cdn.conf" >/dev/null
}

# fetch_tool COMMAND PACKAGE…: puts the command into target/tools, from the first of these packages that this Debian has:
# for programs whose package would also start a server.
fetch_tool() {
  local dir package fetch=(apt-get download -qq -o APT::Sandbox::User=root)
  if command -v "$1" >/dev/null || [[ -x target/tools/$1 ]]; then
    return
  fi
  command -v apt-get >/dev/null || die "missing: $1; install your system's package for it, then run this again"
  echo "==> fetch $1"
  apt-cache show "${@: -1}" >/dev/null 2>&1 || as_root apt-get update -q || true
  for package in "${@:2}"; do
    [[ -z $(apt-cache show --no-all-versions "$package" 2>/dev/null) ]] || break
  done
  dir=$(mktemp -d /tmp/skycms-cdn-tool.XXXXXX)
  # The version that an old package list names may have left the mirror.
  (cd "$dir" && { "${fetch[@]}" "$package" || { as_root apt-get update -q && "${fetch[@]}" "$package"; }; } \
    && dpkg-deb --extract "${package}"_*.deb .) \
    || die "$1 could not be fetched: put it into PATH; Debian's package $package has it"
  mkdir -p target/tools
  mv "$dir"/usr/*bin/"$1" target/tools/
  rm -rf "$dir"
}

# python_tools NAME: puts what tests/NAME/requirements.txt pins into target/NAME, and into PATH; again whenever that file,
# the directory or Python has changed.
python_tools() {
  local venv=$PWD/target/$1 pinned=tests/$1/requirements.txt made
  made=$(echo "$venv" && python3 --version && cat "$pinned")
  if [[ $made != "$(cat "$venv/made" 2>/dev/null)" ]]; then
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$pinned"
    echo "$made" >"$venv/made"
  fi
  PATH=$venv/bin:$PATH
}

# For calls within this machine, which no proxy could pass back.
without_proxy() {
  unset HTTP_PROXY http_proxy HTTPS_PROXY https_proxy ALL_PROXY all_proxy
}

# start NAME PATTERN COMMAND…: runs it in the background with its log in $dir/NAME.log, adds it to `pids`, and sets
# `found` to what the log has after PATTERN.
start() {
  local log=$dir/$1.log pattern=$2
  "${@:3}" >"$log" 2>&1 &
  pids+=($!)
  until found=$(grep -m1 -oP "$pattern" "$log" 2>/dev/null); do
    kill -0 "${pids[-1]}" 2>/dev/null || { cat "$log" >&2; die "$1 did not start"; }
    sleep 0.1
  done
}

# start_demo OPTION…: starts the sandbox, with these options, and the service with its embedded PostgreSQL, on free ports
# and in the directory $dir, and sets `sandbox` and `service` to their addresses. The debug build has to be there. Both end
# with the script.
start_demo() {
  chmod 711 "$dir" # as root, the database runs as another account
  without_proxy
  pids=()
  trap 'stop_demo' EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  export CloudFront__DistributionId=E2SANDBOXDEMO1 CloudFront__Region=us-east-1
  # The pair that AWS's own documentation uses.
  export CloudFront__AccessKeyId=AKIAIOSFODNN7EXAMPLE
  export CloudFront__SecretAccessKey=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY
  start sandbox '(?<=listening on )http://\S+' \
    target/debug/cloudfront-sandbox --listen 127.0.0.1:0 --distribution-id "$CloudFront__DistributionId" \
    --access-key-id "$CloudFront__AccessKeyId" --secret-access-key "$CloudFront__SecretAccessKey" "$@"
  sandbox=$found
  # Elsewhere than here: a developer's .env may name a real database.
  AWS_ENDPOINT_URL_CLOUDFRONT=$sandbox DATABASE_URL='' DATA_DIR=$dir/data LISTEN_ADDR=127.0.0.1:0 PUBLIC_URL='' \
    start service '(?<=ready at )http://\S+' env --chdir="$dir" "$PWD/target/debug/skycms-cdn"
  # shellcheck disable=SC2034
  service=$found
}

stop_demo() {
  trap - EXIT
  ((${#pids[@]} == 0)) || { kill "${pids[@]}" 2>/dev/null && wait "${pids[@]}" 2>/dev/null; } || true
  rm -rf "$dir"
}
