# shellcheck shell=bash
# What scripts/demo, scripts/test and .ci/run share: find what the work needs, say what is missing, ask, install it.
# Sourced, never run.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"

# Set by --yes: install without asking.
# shellcheck disable=SC2034
yes=false
[[ ${CI:-} == true ]] && yes=true

say() { printf '%s\n' "$*" >&2; }
step() { printf '\n== %s\n' "$*" >&2; }
die() { say "error: $*"; exit 2; }

# Packages still to be installed, and why, in the order in which they were asked for.
missing=()
reasons=()

# need PACKAGE WHY: notes a Debian package that is not there yet.
need() {
  local status
  status=$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null || true)
  [[ $status == installed ]] && return
  missing+=("$1")
  reasons+=("$2")
}

# need_program PROGRAM PACKAGE WHY: the program may have come from anywhere; only when it is absent is the package noted.
need_program() {
  PATH="$PATH:/usr/sbin:/sbin" command -v "$1" >/dev/null || need "$2" "$3"
}

# The oldest Rust that will do.
rust_wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)

# Whether the Rust on the path is as new as that.
rust_is_new_enough() {
  local found
  command -v cargo >/dev/null || return 1
  found=$(rustc --version 2>/dev/null | cut -d' ' -f2) || return 1
  [[ -n $found && $(printf '%s\n' "$rust_wanted" "$found" | sort -V | head -n1) == "$rust_wanted" ]]
}

# What every build needs.
need_build_tools() {
  # A toolchain of the person's own is found even when sudo or a bare shell has forgotten it.
  local bin
  for bin in "${CARGO_HOME:-$HOME/.cargo}/bin" /usr/local/cargo/bin; do
    if [[ -x $bin/cargo && :$PATH: != *:$bin:* ]]; then PATH=$bin:$PATH; fi
  done
  export PATH
  if ! rust_is_new_enough; then
    need rustc-web "the Rust compiler"
    need cargo-web "the Rust build tool"
  fi
  need_program cc gcc "compiles SQLite and links"
  need_program pkg-config pkg-config "finds OpenSSL"
  need libc6-dev "headers of the C library"
  need libssl-dev "OpenSSL, for signing, sealing and TLS"
  need ca-certificates "to fetch crates over TLS"
}

# What the journeys through the console in a real browser need.
need_browser() {
  need_program chromium chromium "the browser that walks through the console"
  need_program node nodejs "drives that browser"
  need_program npm npm "fetches what drives it"
  need_program faketime faketime "lets a month end before its journey begins"
}

as_root() {
  if ((EUID == 0)); then "$@"; else sudo "$@"; fi
}

# No package may start a service of this machine, and none that we put in its way may stay behind.
block_services() {
  unblock=()
  local policy=/usr/sbin/policy-rc.d cluster=/etc/postgresql-common/createcluster.d/postern.conf
  trap unblock_services EXIT
  if [[ ! -e $policy ]]; then
    unblock+=("$policy")
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
    as_root chmod 755 "$policy"
  fi
  # Tests make their own database in a temporary folder; the package need not make one.
  if [[ " ${missing[*]} " == *" postgresql"* && ! -e $cluster ]]; then
    unblock+=("$cluster")
    as_root mkdir -p "${cluster%/*}"
    printf 'create_main_cluster = false\n' | as_root tee "$cluster" >/dev/null
  fi
  # Postfix asks what kind of mail system this is: none, tests bring their own configuration.
  if [[ " ${missing[*]} " == *" postfix "* ]]; then
    printf 'postfix postfix/main_mailer_type select No configuration\n' | as_root debconf-set-selections
  fi
}

unblock_services() {
  ((${#unblock[@]} == 0)) || as_root rm -f "${unblock[@]}"
  unblock=()
  trap - EXIT
}

# The newest version that apt would install, or nothing.
candidate() { apt-cache policy "$1" | sed -n 's/^  Candidate: //p' | grep -v '(none)' || true; }

# Installs everything noted by `need`, after saying so and asking.
install_missing() {
  ((${#missing[@]} == 0)) && return
  command -v apt-get >/dev/null || die "this is not Debian; install what matches: ${missing[*]}"
  ((EUID == 0)) || command -v sudo >/dev/null || die "not root and no sudo; as root run: apt-get install ${missing[*]}"

  say "To be installed from Debian's packages (no service is started):"
  local i
  for i in "${!missing[@]}"; do printf '  %-16s %s\n' "${missing[i]}" "${reasons[i]}" >&2; done
  if ! $yes; then
    [[ -t 0 ]] || die "nobody to ask; say --yes to install them"
    local answer
    read -r -p "Install them now? [Y/n] " answer
    [[ -z $answer || $answer == [Yy]* ]] || die "nothing was installed"
  fi

  local log
  log=$(mktemp)
  # One broken source of the person's need not stop us; if it matters, the installation says so.
  as_root apt-get update -qq >"$log" 2>&1 || { tail -n 3 "$log" >&2; say "apt-get update had trouble; going on"; }
  local version
  if [[ " ${missing[*]} " == *" rustc-web "* ]]; then
    version=$(candidate rustc-web)
    dpkg --compare-versions "${version:-0}" ge "$rust_wanted" ||
      die "Debian offers rustc-web ${version:-in no version}, which is too old: enable Debian's security updates (bookworm-security), or install Rust by rustup"
  fi
  block_services
  # --no-remove: rather stop than take something of the person's away (another mail server, an older Rust).
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-remove --no-install-recommends \
    -o Dpkg::Options::=--force-confold -o Dpkg::Use-Pty=0 "${missing[@]}" >"$log" 2>&1 || {
    tail -n 30 "$log" >&2
    die "apt-get could not install them (its words are above)"
  }
  unblock_services
  rm -f "$log"
  say "Installed."
  missing=()
  reasons=()
  hash -r
}

# seconds FROM: since that moment of $SECONDS, as people say it.
since() { printf '%dm%02ds' $(((SECONDS - $1) / 60)) $(((SECONDS - $1) % 60)); }

# measure TEST...: such tests one after the other, so that what is measured has the machine to itself, against the product built as it is
# shipped. Only the product: to optimize the tests' own code takes longer than all they measure.
measure() {
  local tests
  tests=$(cargo rustc --locked --release --test it --message-format=json-render-diagnostics -- -C opt-level=0 -C debug-assertions=off |
    sed -n 's/.*"executable":"\([^"]*\/it-[^"]*\)".*/\1/p')
  [[ -x $tests ]] || die "the tests were not built"
  "$tests" --nocapture --test-threads=1 "$@"
}
