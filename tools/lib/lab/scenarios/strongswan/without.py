# SPDX-License-Identifier: GPL-2.0-or-later
"""One side has no plugin, or there is nothing for it to protect: everything is as it is bare.

Read next: ../start.py for what a plugin says when its host does not fit.
"""
import re

from ... import uml
from ...charon_story import scenario
from ...run import now_ns
from ...story import failed, pause
from ...streams import Streams
from ...strongswan import EXCHANGES, PORT, PORT_NAT

# What a client hears and says, from the first packet on: all of it, and what is ours, which an exchange type tells.
_EXCHANGES = f'{EXCHANGES[0]}-{EXCHANGES[-1]}'
_COUNT = '\n'.join(['table inet count {', *(
    f'chain {hook} {{ type filter hook {hook} priority 0; udp {port} {{ {PORT}, {PORT_NAT} }} counter; '
    f'udp {port} {PORT} @th,208,8 {_EXCHANGES} counter; '
    f'udp {port} {PORT_NAT} @th,64,32 0 @th,240,8 {_EXCHANGES} counter; }}'
    for hook, port in (('input', 'sport'), ('output', 'dport'))), '}', ''])
# The same for user-mode Linux, which has iptables only; IPv4.
_UDP = '0>>22&0x3C@'
_OLD_COUNT = '\n'.join(['*filter', *(
    f'-A {chain} -p udp {words}' for chain, port in (('INPUT', 's'), ('OUTPUT', 'd')) for words in (
        f'-m multiport --{port}ports {PORT},{PORT_NAT}',
        f'--{port}port {PORT} -m u32 --u32 "{_UDP}23&0xFF={EXCHANGES[0]}:{EXCHANGES[-1]}"',
        f'--{port}port {PORT_NAT} -m u32 --u32 "{_UDP}8=0&&{_UDP}27&0xFF={EXCHANGES[0]}:{EXCHANGES[-1]}"')), 'COMMIT', ''])
_ALIKE = ('established', 'same_ike_spis', 'same_virtual_ip', 'handshakes', 'client_ike_sas', 'server_ike_sas', 'resumed')


def _expect_as_bare(result):
    facts = result['facts']
    ours, bare = facts.get('ours', {}), facts['bare']
    return failed(
        *((ours.get(key) == bare[key], f'{key} is as bare ({ours.get(key)}, {bare[key]})') for key in _ALIKE),
        (facts.get('sessions') == 0, f'the plugin has no session ({facts.get("sessions")})'),
        (facts['datagrams'] > 0 == facts['datagrams_of_ours'],
         f'no datagram of ours ever goes either way ({facts["datagrams_of_ours"]} of {facts["datagrams"]})'),
    )


def _count(pair):
    words, text = (('iptables-legacy-restore',), _OLD_COUNT) if uml.without_nft() else (('nft', '-f', '-'), _COUNT)
    pair.network.inside(pair.clients[0].namespace, *words, stdin=text)


def _counted(pair):
    """(all packets, ours), both ways together."""
    words = ('iptables-legacy-save', '-c') if uml.without_nft() else ('nft', 'list', 'table', 'inet', 'count')
    rules = pair.network.inside(pair.clients[0].namespace, *words)
    numbers = [int(number) for number in re.findall(r'(?:counter packets |^\[)(\d+)', rules, re.M)]
    return sum(numbers[0::3]), sum(numbers) - sum(numbers[0::3])


def _beside_bare(story, **arguments):
    """An address replaced, which charon can do itself, in a pair as given and in a bare one. One after the other."""
    facts, figures = {}, {}
    for label, bare in (('bare', True), *([('ours', False)] if story.stage else [])):
        pair = story.pair(label, bare=bare, nat=False, before=_count, **arguments)
        streams = Streams(pair)
        pause(2, 'traffic both ways')
        watch = story.watch(pair)
        cut_at = now_ns()
        # IKEv1 has nothing for this: bare it does not come back before it is rekeyed.
        result = watch.result(cut_at, pair.network.change_address(pair.network.clients[0]), streams, limit=8)
        facts[label] = result['facts']
        figures |= {f'{label}_{key}': value for key, value in result['figures'].items()}
        facts['datagrams'], facts['datagrams_of_ours'] = _counted(pair)
        ends = [charon.end for charon in (pair.server, *pair.clients) if charon.end]
        if ends:
            facts['sessions'] = sum(len(end.sessions()) for end in ends)
        for charon in (*pair.clients, pair.server):
            charon.process.stop()
    return {'figures': figures, 'facts': facts}


@scenario('no-plugin-client', 'only the server has the plugin: an address change is as bare', _expect_as_bare)
def no_plugin_client(story):
    return _beside_bare(story, on_clients=(False,))


@scenario('no-plugin-server', 'only the client has the plugin: the same', _expect_as_bare)
def no_plugin_server(story):
    return _beside_bare(story, on_server=False)


@scenario('no-plugin-ikev1', 'both have the plugin and speak IKEv1: the same', _expect_as_bare)
def no_plugin_ikev1(story):
    return _beside_bare(story, version=1)
