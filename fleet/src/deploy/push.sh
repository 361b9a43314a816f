# Puts a file beside its place, whole and on the disk, or leaves nothing. Standard input is its content.
# $1 its place, $2 the SHA-256 of the content, $3 the mode.
set -eu
directory=${1%/*} staged=${1%/*}/.${1##*/}.staged
mkdir -p "$directory"
trap 'rm -f "$staged"' EXIT
umask 077
rm -f "$staged"
cat >"$staged"
sum=$(sha256sum <"$staged")
if [ "${sum%% *}" != "$2" ]; then
	echo "what arrived is not what was sent" >&2
	exit 1
fi
chmod "$3" "$staged"
sync "$staged" 2>/dev/null || sync
trap - EXIT
