# SPDX-License-Identifier: GPL-2.0-or-later
"""The lab's own machine (uml.py): does it give back what it should, and has it what this kernel may lack?

Owns what other scenarios take for granted of it. Read next: ../uml.py.
"""
import os

from ..run import Fault, now_ns, poll_until, seconds
from ..story import failed, scenario
from ..uml import Machine

# Two namespaces, netem between them, and a pair of ESP states by UDP, as strongSwan would make them.
_KERNEL = '''set -e
echo inside > "$LAB_EXCHANGE/result"
echo inside > "$OUTSIDE/changed"
echo there is stderr >&2
ip netns add one; ip netns add two
ip link add v1 netns one type veth peer name v2 netns two
for i in 1 2; do
    in="ip -n $(test $i = 1 && echo one || echo two)"
    $in addr add 10.0.0.$i/24 dev v$i; $in link set v$i up; $in link set lo up; $in addr add 10.$i.0.1/32 dev lo
    $in route add 10.$((3 - i)).0.0/16 via 10.0.0.$((3 - i)) src 10.$i.0.1
    for way in "1 2 out" "2 1 in"; do
        set -- $way
        test $i = 1 || { test $3 = out && set -- $1 $2 in || set -- $1 $2 out; }
        $in xfrm state add src 10.0.0.$1 dst 10.0.0.$2 proto esp spi $1 reqid 1 mode tunnel \\
            aead "rfc4106(gcm(aes))" 0x0123456789012345678901234567890123456789 128
        $in xfrm policy add src 10.$1.0.0/16 dst 10.$2.0.0/16 dir $3 \\
            tmpl src 10.0.0.$1 dst 10.0.0.$2 proto esp reqid 1 mode tunnel
    done
done
ip netns exec one tc qdisc add dev v1 root netem delay 10ms
ip netns exec one ping -n -q -c 3 -i 0.2 -W 5 10.2.0.1
ip -n two -s xfrm state
exit 7
'''


def _expect(result):
    facts = result['facts']
    return failed(
        (facts['status'] == 7, f'the exit status of the command comes out ({facts["status"]})'),
        (facts['stderr'], 'its stderr comes out'),
        (facts['exchanged'], 'a file comes out through the exchange folder'),
        (not facts['changed'], 'nothing else of this machine is changed'),
        (facts['through_esp'], f'packets pass through ESP and netem ({facts["said"]})'),
        (facts['limit_held'], 'what takes too long is ended'),
        (not facts['left'], f'and nothing is left of it ({facts["left"]})'))


@scenario('uml-selftest', 'the lab\'s own machine: ESP, netem, exit status, output, time limit', _expect)
def uml_selftest(story):
    machine = Machine(story.run)
    done = machine.call(['sh', '-c', _KERNEL], 90, environment={'OUTSIDE': story.run.folder})
    held = False
    begun = now_ns()
    try:
        Machine(story.run).call(['sleep', '1000'], 4)
    except Fault:
        held = True
    poll_until(lambda: not _machines_of(story.run.folder), 5)  # its children end a moment after it
    through = '3 received' in done.out and done.out.count(', 3(packets)') == 2
    return {'figures': {'booted_s': done.booted_s, 'took_s': done.took_s, 'limit_s': seconds(now_ns() - begun)}, 'facts': {
        'status': done.status, 'stderr': 'there is stderr' in done.err, 'exchanged': bool(machine.exchanged('result')),
        'changed': os.path.exists(f'{story.run.folder}/changed'), 'through_esp': through,
        'said': '' if through else (done.out + done.err)[-1500:], 'limit_held': held, 'left': _machines_of(story.run.folder)}}


def _machines_of(folder):
    """The ids of processes that were started for this folder."""
    left = []
    for pid in filter(str.isdigit, os.listdir('/proc')):
        try:
            with open(f'/proc/{pid}/cmdline', 'rb') as file:
                if f'LAB_EXCHANGE={folder}/'.encode() in file.read():
                    left.append(int(pid))
        except OSError:  # it has just ended
            pass
    return left
