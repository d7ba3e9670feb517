#!/bin/sh
# First process of the node's own namespaces: prepares them, then runs a command.
#
#   enclosure.sh ADDRESS COMMAND...
#
# When this process ends, the kernel ends every other one in here with it, and takes
# the mounts and the network down. Being a shell it also reaps what others abandon.
set -eu
address=$1
shift

mount --make-rshared /

# Whatever container runtimes write outside the lab's folder goes here.
for folder in /run /var/lib /var/log; do
  mount -t tmpfs -o mode=755 node "$folder"
done

# The kubelet sets these for the whole machine; it shall write to copies.
mkdir /run/sysctl
for setting in vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops \
  kernel/keys/root_maxkeys kernel/keys/root_maxbytes; do
  copy=/run/sysctl/$(basename "$setting")
  cat "/proc/sys/$setting" >"$copy"
  mount --bind "$copy" "/proc/sys/$setting"
done

# One address, one way out, and nobody at the end of it.
ip link set lo up
ip link add node0 type veth peer name nowhere
ip address add "$address/24" dev node0
ip link set node0 up
ip link set nowhere up
ip route add default via "${address%.*}.254"
echo 1 >/proc/sys/net/ipv4/ip_forward

"$@"
exit # with the command's own status
