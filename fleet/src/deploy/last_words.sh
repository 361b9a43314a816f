# Why the service $1 with the program $2 and the configuration $3 does not come up: a line for each thing that is missing.
if [ "$1" = build-drone ]; then
	missing=$("$2" preflight --config "$3" 2>&1 | grep -E 'MISSING|build-drone:')
	if [ -n "$missing" ]; then
		printf '%s\n' "$missing"
		exit
	fi
fi
if [ -d /run/openrc ]; then
	# As its init script reads it.
	# shellcheck disable=SC1090 # the machine's own
	[ ! -f "/etc/conf.d/$1" ] || . "/etc/conf.d/$1"
	log=${output_log:-}
	# What goes to syslog is in one of these, if anybody writes files.
	tail -n 1000 ${log:+"$log"} /var/log/messages /var/log/syslog 2>/dev/null
else
	journalctl --quiet --output=cat --lines=100 --unit="$1" 2>/dev/null
fi | grep -o "$1: .*" | tail -n 1
