# SPDX-License-Identifier: GPL-2.0-or-later
"""One side has no plugin, or there is nothing for it to protect: everything is as it is bare.

Read next: ../start.py for what a plugin says when its host does not fit.
"""
from ...charon_story import scenario
from ...run import now_ns
from ...story import failed, pause
from ...streams import Streams

_ALIKE = ('established', 'same_ike_spis', 'same_virtual_ip', 'handshakes', 'client_ike_sas', 'server_ike_sas', 'resumed')


def _expect_as_bare(result):
    facts = result['facts']
    ours, bare = facts.get('ours', {}), facts['bare']
    return failed(
        *((ours.get(key) == bare[key], f'{key} is as bare ({ours.get(key)}, {bare[key]})') for key in _ALIKE),
        (facts.get('sessions') == 0, f'the plugin has no session ({facts.get("sessions")})'),
    )


def _beside_bare(story, **arguments):
    """An address replaced, which charon can do itself, in a pair as given and in a bare one. One after the other."""
    facts, figures = {}, {}
    for label, bare in (('bare', True), *([('ours', False)] if story.stage else [])):
        pair = story.pair(label, bare=bare, nat=False, **arguments)
        streams = Streams(pair)
        pause(2, 'traffic both ways')
        watch = story.watch(pair)
        cut_at = now_ns()
        result = watch.result(cut_at, pair.network.change_address(pair.network.clients[0]), streams)
        facts[label] = result['facts']
        figures |= {f'{label}_{key}': value for key, value in result['figures'].items()}
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
