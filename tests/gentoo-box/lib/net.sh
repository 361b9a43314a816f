# The boxes' network: one bridge on the host, 10.88.0.1/24, and addresses 10.88.0.2 to .254. There
# is no route to anywhere else. Hardware addresses are fixed, for else the bridge changes its own
# with every box that comes, and a rebooted box is a stranger to its neighbours. An address is
# taken by a symbolic link, named by its last number, to the box's directory: that says whose it
# is, whatever BUILD_SWARM_BOXES its caller uses, and a link to nowhere is free again.
# shellcheck shell=bash

SUBNET=10.88.0
BRIDGE=swarm0
ADDRESSES=/run/build-swarm/addresses

net_up() (
    lock /run/build-swarm/net.lock
    [[ -d /sys/class/net/$BRIDGE ]] ||
        ip link add "$BRIDGE" address "$(net_hardware "$SUBNET.1")" type bridge
    ip addr replace "$SUBNET.1/24" dev "$BRIDGE"
    ip link set "$BRIDGE" up
)

net_down() { ip link del "$BRIDGE" 2>/dev/null || true; }

# net_claim DIR [IP]: prints the address now DIR's.
net_claim() (
    lock /run/build-swarm/net.lock
    mkdir -p "$ADDRESSES"
    find "$ADDRESSES" -xtype l -delete
    if [[ ${2-} ]]; then
        [[ ${2%.*} == "$SUBNET" && ${2##*.} =~ ^([2-9]|[1-9][0-9]|1[0-9][0-9]|2[0-4][0-9]|25[0-4])$ ]] ||
            die "$2 is none of $SUBNET.2 to .254"
        ln -sT "$1" "$ADDRESSES/${2##*.}" 2>/dev/null || die "$2 is taken"
        echo "$2"
        return
    fi
    for number in {2..254}; do
        if ln -sT "$1" "$ADDRESSES/$number" 2>/dev/null; then
            echo "$SUBNET.$number"
            return
        fi
    done
    die "$SUBNET.0/24 is full"
)

# net_release DIR
net_release() (
    lock /run/build-swarm/net.lock
    [[ ! -d $ADDRESSES ]] || find "$ADDRESSES" -lname "$1" -delete
)

# net_hardware IP
net_hardware() {
    local -a byte
    IFS=. read -ra byte <<<"$1"
    printf '02:00:%02x:%02x:%02x:%02x\n' "${byte[@]}"
}

# The host's end of the box's cable.
net_cable() { echo "swarm-${1##*.}"; }
