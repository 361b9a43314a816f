# Prints what is on this machine as NAME=VALUE lines; changes nothing. For any POSIX shell.
# $1 the orchestrator's URL, $2 the binhost's; $3 services, each with its account, $4 directories, $5 files that may be there; $6… files to hash.
set -u
say() { printf '%s=%s\n' "$1" "$2"; }
say clock "$(date +%s)"
orchestrator=$1 binhost=$2 services=$3 directories=$4 presents=$5
shift 5

existing() { # sets dir: the nearest directory that is there
	dir=$1
	while [ -n "$dir" ] && [ ! -d "$dir" ]; do dir=${dir%/*}; done
	dir=${dir:-/}
}

# The machine.
[ ! -r /etc/machine-id ] || say machine_id "$(cat /etc/machine-id)"
uname -rm | {
	read -r kernel machine
	say kernel "$kernel"
	say machine "$machine"
}
say user "$(id -u)"
sed -n '/^flags/{s/^flags[^:]*: */flags=/p;q;}' /proc/cpuinfo
say cores "$(grep -c '^processor' /proc/cpuinfo)"
sed -n 's/^MemTotal: *\([0-9]*\) kB/memory_kib=\1/p' /proc/meminfo
[ ! -r /etc/os-release ] || (. /etc/os-release && say os "${ID-} ${ID_LIKE-}")
if [ -d /run/openrc ]; then say init openrc
elif [ -d /run/systemd/system ]; then say init systemd # sd_booted(3)
fi
for entry in /var/db/pkg/sys-apps/portage-[0-9]* /usr/lib*/python3*/*-packages/portage-[0-9]*-info; do
	[ -e "$entry" ] || continue
	entry=${entry##*/portage-}
	say portage "${entry%.*-info}"
	break
done

# What the sandbox of builds needs.
if [ -f /sys/fs/cgroup/cgroup.controllers ]; then say cgroup "v2 $(cat /sys/fs/cgroup/cgroup.controllers)"
elif grep -q ' cgroup' /proc/mounts; then say cgroup v1
fi
if grep -qw overlay /proc/filesystems || modprobe -nq overlay 2>/dev/null; then say overlay yes; else say overlay no; fi
say namespaces "$(cd /proc/self/ns && echo *)"
command -v bwrap >/dev/null && say bwrap yes

# What is there of ours.
IFS='
'
# One process for all files, and for all directories: of a fleet, each is started on every machine at once.
for file; do
	shift
	[ ! -f "$file" ] || set -- "$@" "$file"
done
if [ $# != 0 ]; then
	sha256sum -- "$@" | sed 's/^\([0-9a-f]*\)  \(.*\)/hash:\2=\1/'
	stat -c 'mode:%n=%a' -- "$@"
fi
for file in $presents; do
	[ ! -s "$file" ] || say "present:$file" yes
done
set --
for name in $directories; do
	existing "$name"
	set -- "$@" "$dir"
	if [ -w "$dir" ]; then say "writable:$name" yes; else say "writable:$name" no; fi
done
# Its lines are in the order of its arguments.
df -Pk -- "$@" | sed '1d; s/^[^ ]* *[0-9]* *[0-9]* *\([0-9]*\) .*/\1/' | while read -r free; do
	say "free_kib:${directories%%"$IFS"*}" "$free"
	directories=${directories#*"$IFS"}
done
for entry in $services; do
	name=${entry% *} state=
	if id -u "${entry#* }" >/dev/null 2>&1; then state=account; fi
	for link in /etc/runlevels/*/"$name" /etc/systemd/system/*.wants/"$name.service"; do
		[ ! -L "$link" ] || state="$state enabled"
	done
	if [ -d /run/openrc ]; then
		# Where rc-service would look (librc, rc_service_state); a daemon that is gone is missed below.
		if [ -e "/run/openrc/started/$name" ]; then state="$state started"; fi
	elif [ -d /run/systemd/system ]; then
		if systemctl -q is-active "$name"; then state="$state started"; fi
	fi
	say "service:$name" "$state"
done

# The daemons that run, and whether of the program that is there now. A build within a root of the drone's is its own
# program too, with another verb.
ls -l /proc/[0-9]*/exe 2>/dev/null |
	sed -n 's|.* /proc/\([0-9]*\)/exe -> \(/usr/bin/build-[a-z]*\).*|\1 \2|p' |
	while IFS=' ' read -r pid program; do
		case " $(tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null)" in
		*' run '* | *' serve '*) ;;
		*) continue ;;
		esac
		# shellcheck disable=SC3013 # dash, busybox and bash have it
		if [ "/proc/$pid/exe" -ef "$program" ]; then say "process:${program##*/}" "$pid present"
		else say "process:${program##*/}" "$pid former"
		fi
	done

# The network.
awk '$4 == "0A" { sub(/.*:/, "", $2); print "listens=" $2 }' /proc/net/tcp /proc/net/tcp6 2>/dev/null | sort -u
reach() {
	[ -n "$2" ] || return 0
	if command -v curl >/dev/null; then curl -sS -m 5 -o /dev/null "$2" 2>/dev/null
	elif command -v wget >/dev/null; then
		wget -q -T 5 -t 1 -O /dev/null "$2" 2>/dev/null
		[ $? != 4 ] # the server answered, whatever it said
	else return 0
	fi
	if [ $? = 0 ]; then say "reach:$1" yes; else say "reach:$1" no; fi
}
reach orchestrator "$orchestrator"
reach binhost "$binhost"
say end 1
