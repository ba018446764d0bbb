# SPDX-License-Identifier: GPL-2.0-or-later
"""The two hosts of the demo: what each calls things, and what can be seen of a bare one.

Owns the patterns of logs that only the demo needs, and every word that differs. Read next: script.py.
"""
import dataclasses
import re

import lab.charon_story
import lab.openvpn
import lab.story
import lab.strongswan
from lab.run import now_ns

from .lane import Lane

_OPENVPN_STATES = re.compile(r'(Initialization Sequence Completed)|(SIGUSR1\[[^]]*\])|(TLS: Initial packet from)'
                             r'|(SIGTERM\[[^]]*\])')
_SERVED = re.compile(r'Peer Connection Initiated with \[AF_INET\](\S+)|floated from \S+ to (?:\[AF_INET\])?(\S+)')
_CHARON_STATES = re.compile(r'\] (?:(IKE_SA \S+ established|parsed \S+ response)|(retransmit \d+) of request'
                            r'|(giving up after)|(deleting IKE_SA)|(initiating IKE_SA))')
# vici is asked for it each time, and the answer wakes charon.
_LOOK_EVERY_NS = 500_000_000


class OpenVPNLane(Lane):
    def look_at_host(self):
        for came_up, restarts, greets, ends in _OPENVPN_STATES.findall(self.client.log())[-1:]:
            self.state = ('connected' if came_up else f'restarting ({restarts[8:-1]})' if restarts
                          else 'new TLS handshake' if greets else f'ending {ends}')
            self.mood = 'good' if came_up else 'bad'
        served = _SERVED.findall(self.pair.server.log())
        if served:
            self.binding = next(filter(None, served[-1]))
        self.count('floats', self.pair.server.floats(), f'OpenVPN itself moved the client to {self.binding}', 'note')
        self.count('restarts', self.client.restarts(), 'OpenVPN gave up and starts anew', 'bad')


class CharonLane(Lane):
    _looked_at = 0
    _moves = 0
    _spis = None

    def look_at_host(self):
        for fine, retransmits, gave_up, ends, begins in _CHARON_STATES.findall(self.client.log())[-1:]:
            self.state = ('connected' if fine else f'asks again ({retransmits})' if retransmits else 'gave up' if gave_up
                          else 'ending' if ends else 'new IKE_SA' if begins else '')
            self.mood = 'good' if fine else 'bad'
        if now_ns() < self._looked_at + _LOOK_EVERY_NS:
            return
        self._looked_at = now_ns()
        theirs = self.pair.server.established()
        if not theirs:
            return
        binding = '{}:{}'.format(*theirs[0].remote)
        if self.binding not in (None, binding) and self._spis == theirs[0].spis:
            self._moves += 1
        self.binding, self._spis = binding, theirs[0].spis
        self.count('moves', self._moves, f'charon itself moved the client to {binding}', 'note')

    def untrue(self):
        theirs, session = self.pair.shared(self.client), self.pair.is_attached(self.client)
        holds = theirs and session and session[1]['binding'] == 'udp {}:{}'.format(*theirs[1].remote)
        return [] if holds else ['list-sas has the address that the session is bound to']

    def help(self):
        """As an administrator would, since nothing else brings it back: the IKE_SA is made anew."""
        for name in self.pair.names():
            self.client.ask('terminate', {'ike': name, 'force': 'yes', 'timeout': '5000'})
        self.pair.connect(self.client)
        self.notice_now('by hand: the IKE_SA was ended and made anew', 'bad')


def _openvpn_watch(pair, client):
    return lab.story.Watch(pair, client)


def _charon_watch(pair, client):
    return lab.charon_story.SaWatch(pair, client, wait=0)


@dataclasses.dataclass(frozen=True)
class Host:
    name: str
    title: str
    program: str           # what people see it as
    handshake: str         # what a connection begins with
    column: tuple          # the same, at the head of the table
    lane: type
    pair: type
    watch: object          # watch(pair, client): before an event
    survived: object       # survived(result, moved): what of the promise does not hold
    back_after_rebind_s: float  # how long the bare one takes, at the start; more than the limit: it does not come back
    spis: bool             # whether there are SPIs to compare


HOSTS = {
    'openvpn': Host('openvpn', 'OpenVPN', 'OpenVPN', 'TLS handshake', ('TLS', 'h/s'), OpenVPNLane, lab.openvpn.Pair,
                    _openvpn_watch, lab.story.expect_survived, 4, False),
    'strongswan': Host('strongswan', 'strongSwan', 'charon', 'IKE handshake', ('IKE', 'h/s'), CharonLane,
                       lab.strongswan.Pair, _charon_watch, lab.charon_story.expect_survived, 20, True),
}
