# Ends the processes of the service $1, in order or when $2 seconds are over. OpenRC's supervise-daemon, told to stop just
# after its child has died and before it has noticed, waits for that child for as long as its service gives a build (seen with
# 0.45). Whoever calls this wants nothing that is still built.
stop() {
	if [ ! -d /run/openrc ]; then
		timeout "$2" systemctl stop "$1" && return
		systemctl kill --signal=KILL "$1"
		systemctl stop "$1"
		return
	fi
	timeout "$2" rc-service "$1" stop && return
	supervisor=$(cat "/run/openrc/options/$1/pidfile" 2>/dev/null) && supervisor=$(cat "$supervisor" 2>/dev/null)
	if [ "$(cat "/proc/${supervisor:-none}/comm" 2>/dev/null)" = supervise-daemo ]; then
		# Stopped first: it starts no other child between the two.
		kill -STOP "$supervisor"
		# shellcheck disable=SC2046 # one word each
		kill -KILL "$supervisor" $(sed -n 's|^Pid:||p' $(grep -ls "^PPid:	$supervisor\$" /proc/[0-9]*/status))
	fi
	rc-service "$1" zap
} </dev/null >&2
