# A box's life: up, start, power off, down. All that a box is lies in its directory, BOXES/NAME:
#   config  what init is to make          disk/   the overlay over the root: upper, work
#   pid     init's, as the host counts    drone/  /var/lib/build-drone, a real disk
#   ready   not empty: it has started     log     what machine and init said
# Whoever holds the lock on the directory is the box (up, then lib/machine): no pid is trusted to
# be still the same process.
# shellcheck shell=bash

# alive DIR
alive() { [[ -d $1 ]] && ! flock --nonblock "$1" true; }

# of NAME: prints its directory.
of() { echo "$(readlink -m -- "$BOXES")/$1"; }

# setting DIR VARIABLE: one of up's decisions.
# shellcheck source=/dev/null
setting() { (. "$1/config" && echo "${!2}"); }

up() {
    local name=$1 root='' layer='' ip='' sshd=0 openrc=0 key='' dir new
    local -a binds=()
    shift
    while (($#)); do
        case $1 in
            --sshd) sshd=1; shift; continue ;;
            --openrc) openrc=1; shift; continue ;;
            --older) layer=$CACHE/older/layer; shift; continue ;;
            --root) root=${2-} ;;
            --ip) ip=${2-} ;;
            --bind) binds+=("${2-}") ;;
            --authorized-key) key=${2-} ;;
            *) usage ;;
        esac
        shift 2 || usage
    done
    [[ $name =~ ^[a-z0-9][a-z0-9-]*$ ]] || die "a box's name is of small letters, digits and dashes"
    [[ $root == base || $root == workstation ]] || usage
    [[ $openrc == 0 || $root == base ]] || die 'only base has OpenRC'
    dir=$(of "$name")
    make_directory
    trap 'down "$name"' EXIT
    configure
    start "$name"
    trap - EXIT
}

# Locked before it has its name, so that no gc takes it for a dead box.
make_directory() {
    new=${dir%/*}/.new-$name-$$
    mkdir -p "$new"/disk/{upper,work,merged} "$new/drone"
    exec 8<"$new"
    flock 8
    mv -T "$new" "$dir" 2>/dev/null || { rm -rf "$new"; die "$name exists"; }
}

configure() {
    [[ -d $CACHE/roots/$root ]] || die 'run setup first'
    binds=("$REPO:/var/db/repos/swarm-box:ro" "$CACHE/distfiles:/var/cache/swarm-mirror:ro" "${binds[@]}")
    [[ $root != base ]] || binds=("$dir/drone:/var/lib/build-drone" "${binds[@]}")
    root=$(readlink -e -- "$CACHE/roots/$root")
    [[ -z $layer ]] || layer=$(readlink -e -- "$layer") || die 'run setup first'
    ip=$(net_claim "$dir" "$ip")
    declare -p name root layer ip sshd openrc binds >"$dir/config"
    [[ -z $key ]] || install -D -m 600 "$key" "$dir/disk/upper/root/.ssh/authorized_keys"
}

start() {
    local dir
    dir=$(of "$1")
    [[ -f $dir/config ]] || die "$1 does not exist"
    { true >&8; } 2>/dev/null || { exec 8<"$dir"; flock --nonblock 8 || die "$1 is running"; }
    net_up
    rm -f "$dir"/{pid,ready}
    setsid env -i PATH="$PATH" "$BOX_HOME/lib/machine" "$dir" </dev/null >>"$dir/log" 2>&1 &
    exec 8<&-
    wait_until_ready "$dir" || { cat "$dir/log" >&2; die "$1 did not start"; }
}

wait_until_ready() {
    until [[ -s $1/ready ]]; do
        alive "$1" || return 1
        sleep 0.01
    done
}

# Its init's end is the end of all its processes, mounts and network; the cable's end on the host
# would go a moment later by itself.
power_off() {
    local pid
    while ! flock --wait 0.05 "$1" true; do
        if pid=$(cat "$1/pid" 2>/dev/null); then kill -KILL "$pid" 2>/dev/null || true; fi
    done
    [[ ! -f $1/config ]] || ip link del "$(net_cable "$(setting "$1" ip)")" 2>/dev/null || true
}

down() {
    local dir
    dir=$(of "$1")
    [[ -d $dir ]] || return 0
    exec 8<&-
    power_off "$dir"
    net_release "$dir"
    rm -rf --one-file-system "$dir"
}

gc() {
    local dir
    for dir in "$BOXES"/*/; do
        alive "$dir" || down "$(basename "$dir")"
    done
}
