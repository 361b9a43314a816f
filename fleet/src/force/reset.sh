# A drone's last resort. `look` says what a reset would destroy; `reset` destroys it: the service's processes and whatever they
# left, mounts below its state directory, and what is in that. Nothing else is touched.
# $1 look or reset, $2 the service, $3 its program, $4 its state directory.
set -u
what=$1 service=$2 program=$3 state=$4

case $state in
/*/*) ;;
*)
	echo "$state is no directory of a drone's alone" >&2
	exit 1
	;;
esac

# Processes of the program, those in mount namespaces with an overlay that writes below the state directory, and all that
# descend from either. The namespace that we are in is everybody's.
ours() {
	everybody=$(readlink /proc/self/ns/mnt)
	{
		ls -l /proc/[0-9]*/exe 2>/dev/null |
			sed -n "s|.* /proc/\([0-9]*\)/exe -> $program\( (deleted)\)\{0,1\}\$|\1|p"
		grep -l "upperdir=$state/" /proc/[0-9]*/mountinfo 2>/dev/null |
			while IFS=/ read -r _ _ pid _; do
				[ "$(readlink "/proc/$pid/ns/mnt")" = "$everybody" ] || echo "$pid"
			done
	} | below
}

# The processes on standard input, and their descendants (proc(5): a name, in parentheses, may hold anything).
below() {
	{
		sed 's/^/ours /'
		cat /proc/[0-9]*/stat 2>/dev/null
	} | awk '
		$1 == "ours" { ours[$2] = 1; next }
		{ pid = $1; sub(/^.*\) /, ""); parent[pid] = $2 }
		END {
			do {
				more = 0
				for (pid in parent)
					if (!(pid in ours) && (parent[pid] in ours)) { ours[pid] = 1; more = 1 }
			} while (more)
			for (pid in ours) if (pid in parent) print pid
		}'
}

mounts() { awk -v below="$state/" 'index($2, below) == 1 { print $2 }' /proc/self/mounts | sort -r; }

case $what in
look)
	printf 'processes=%s\n' "$(ours | wc -l)"
	printf 'mounts=%s\n' "$(mounts | wc -l)"
	# Only what a drone has locked is a drone's.
	[ ! -e "$state/lock" ] || printf 'kib=%s\n' "$(du -skx "$state" 2>/dev/null | sed 's/[^0-9].*//')"
	;;
reset)
	# The supervisor first, or it starts what is killed; it is given no time to be polite.
	stop "$service" 5
	# Until there is none: one that is killed may just have started another.
	tries=0
	while pids=$(ours) && [ -n "$pids" ]; do
		tries=$((tries + 1))
		if [ "$tries" -gt 50 ]; then
			echo "processes that cannot be killed: $pids" >&2
			exit 1
		fi
		# shellcheck disable=SC2086 # one word each
		kill -KILL $pids 2>/dev/null
		sleep 0.1
	done
	mounts | while read -r mount; do umount -l "$mount" || exit 1; done || exit 1
	[ -e "$state/lock" ] || exit 0
	find "$state" -xdev -mindepth 1 -delete
	;;
esac
