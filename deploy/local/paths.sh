# Where the local scripts keep things, and how they speak. Sourced by the scripts beside it; runs nothing by itself.
# shellcheck shell=bash disable=SC2034

ferry_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
ferry_local="$ferry_root/deploy/local"
ferry_cache="${FERRY_CACHE:-$ferry_root/.cache}"
ferry_target="${CARGO_TARGET_DIR:-$ferry_root/target}"

etcd_version=3.7.3
kafka_version=4.3.0
# Each may be set from outside to use a copy that is already on the machine.
ferry_etcd="${FERRY_ETCD:-$ferry_cache/etcd-$etcd_version/etcd}"
ferry_etcdctl="${FERRY_ETCDCTL:-$ferry_cache/etcd-$etcd_version/etcdctl}"
ferry_old_etcd="$ferry_cache/etcd-3.4/etcd"
ferry_kafka_libs="${FERRY_KAFKA_LIBS:-$ferry_cache/kafka-$kafka_version/libs}"

# Package managers put these here; a bare shell (CI, sudo) may not have them on its path.
for directory in "$HOME/.cargo/bin" /usr/local/go/bin; do
  case ":$PATH:" in *":$directory:"*) ;; *) [ -d "$directory" ] && PATH="$PATH:$directory" ;; esac
done
export PATH

# say TEXT...: one line of talk, with the seconds since the script began. Goes to stderr: stdout is data.
say() { printf '[%4ds] %s\n' "$SECONDS" "$*" >&2; }

# die TEXT...: says why and ends the script.
die() { say "error: $*"; exit 1; }

# version_at_least HAVE WANT: dotted numbers.
version_at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }
