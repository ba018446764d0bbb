# SPDX-License-Identifier: GPL-2.0-or-later
"""What every scenario of strongSwan does: as story.py, with two charons and their security associations.

Owns what is compared of an IKE_SA before and after an event. Knows nothing of any single scenario.
Read next: scenarios/strongswan/moves.py.
"""
import functools

from . import story
from .run import say
from .story import Watch, expect_same_session, failed
from .strongswan import Pair


class Story(story.Story):
    host = 'strongswan'

    def pair(self, label='p', bare=False, waiting=0, before=None, **arguments):
        """A pair that is up and, with the plugin at both ends, ATTACHED; waiting, before: as for OpenVPN's."""
        say(f'  {label}: starting strongSwan{"" if self.stage and not bare else ", bare"}')
        arguments = {'family': self.options.family, 'auth': self.options.auth, 'kernel': self.options.kernel} | arguments
        if self.stage and not self.options.reject:
            arguments['settings'] = {'plugins': {'jumping': {'reject': False}}}
        pair = Pair(self.run, label, None if bare else self.stage, **arguments)
        if before:
            before(pair)
        pair.start(waiting)
        return pair

    def watch(self, pair, client=None):
        return SaWatch(pair, client or pair.clients[0], self.options.wait)


scenario = functools.partial(story.scenario, story=Story)


class SaWatch(Watch):
    """One client's IKE_SA before an event and after it."""

    def __init__(self, pair, client, wait):
        super().__init__(pair, client)
        self._wait = wait
        self._sa = pair.sa(client)

    def has_session(self):
        return self._pair.version == 2

    def counts(self):
        return {'handshakes': self._client.handshakes()}

    def result(self, cut_at, usable_at, streams=None, limit=None, settle=1.0, attach=10):
        """As of the Watch; limit: None for the run's --wait."""
        result = super().result(cut_at, usable_at, streams, self._wait if limit is None else limit, settle, attach)
        result['facts'] |= self.compare()
        return result

    def compare(self):
        """What of the IKE_SA is still the same, in both charons' eyes."""
        before = self._sa
        mine, theirs = self._pair.shared(self._client) or (None, None)
        return {
            'established': bool(mine),
            'same_ike_spis': bool(mine) and mine.spis == before.spis,
            'same_esp_spis': bool(mine) and mine.esp == before.esp == {spis[::-1] for spis in theirs.esp},
            'same_virtual_ip': bool(mine) and mine.virtual == before.virtual,
            'client_ike_sas': len(self._client.sas()),
            'server_ike_sas': sum(sa.remote_id == self._id() for sa in self._pair.server.sas()),
        }

    def _id(self):
        return self._pair.identity(self._client)


def expect_survived(result, moved, esp=True):
    """The session and its IKE_SA outlived the event; moved: it changed its binding. esp: with the same ESP SPIs too."""
    facts = result['facts']
    return expect_same_session(result, moved) + failed(
        (facts['handshakes'] == 0, f'nobody authenticated anew ({facts["handshakes"]} did)'),
        (facts['same_ike_spis'], 'the IKE SPIs are the same at both ends'),
        (facts['same_esp_spis'] or not esp, 'the ESP SPIs are the same at both ends'),
        (facts['same_virtual_ip'], 'the virtual IP is the same'),
        (facts['client_ike_sas'] == 1 and facts['server_ike_sas'] == 1,
         f'there is one IKE_SA at each end ({facts["client_ike_sas"]}, {facts["server_ike_sas"]})'),
    )
