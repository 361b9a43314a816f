# Puts what was staged into its place and starts the service with it; or takes it back.
# $1 what: switch, rollback, settle or discard; $2 the service; $3 the file that says a restart is due; $4… the files.
set -u
what=$1 service=$2 pending=$3
shift 3

order() { # start, status
	if [ -d /run/openrc ]; then
		[ -x "/etc/init.d/$service" ] && rc-service "$service" "$1"
	else
		systemctl "$1" "$service"
	fi </dev/null
}
runs() { order status >/dev/null 2>&1; }
beside() { printf '%s/.%s.%s\n' "${1%/*}" "${1##*/}" "$2"; }

case $what in
switch)
	mkdir -p "${pending%/*}" && : >"$pending" && sync || exit 1
	if runs && ! stop "$service" 60; then
		echo "$service does not stop" >&2
		exit 1
	fi
	# The link is the former file itself: whatever ends this script, each path has the one or the other, whole.
	for file; do
		former=$(beside "$file" previous)
		rm -f "$former"
		if [ -f "$file" ]; then ln "$file" "$former" || exit 1; fi
		mv -f "$(beside "$file" staged)" "$file" || exit 1
	done
	sync
	[ -d /run/openrc ] || systemctl daemon-reload
	order start >&2
	;;
rollback)
	if runs; then stop "$service" 60; fi
	for file; do
		former=$(beside "$file" previous)
		rm -f "$(beside "$file" staged)"
		if [ -f "$former" ]; then mv -f "$former" "$file"; else rm -f "$file"; fi
	done
	sync
	rm -f "$pending"
	[ -d /run/openrc ] || systemctl daemon-reload
	order start >&2
	;;
settle)
	if [ -d /run/openrc ]; then
		rc-update -q add "$service" default
	else
		systemctl -q enable "$service"
	fi >&2 || exit 1
	rm -f "$pending"
	;;
discard)
	for file; do rm -f "$(beside "$file" staged)"; done
	;;
esac
