# SPDX-License-Identifier: GPL-2.0-or-later
"""The router's rules in the words of iptables, for a kernel that has no nft for IP (Debian's user-mode Linux).

Owns the wording. What the rules are for stands in network.py, whose nft rules say the same. Read next: network.py.
"""
import re

from .run import Fault

# Where a datagram's first bytes are looked for, and how long its packet's header is. Neither has options or extensions here.
_PAYLOAD = {4: '0>>22&0x3C@8', 6: '48'}
_HEADER_BYTES = {4: 20, 6: 40}


def _forward(rule, version):
    """A rule of the forward chain: matches of nft, then drop."""
    matches = (
        (r'iifname "(\w+)" ', lambda found: f'-i {found[1]}'),
        (r'oifname "(\w+)" ', lambda found: f'-o {found[1]}'),
        (r'(udp|tcp) dport (\d+) ', lambda found: f'-p {found[1]} --dport {found[2]}'),
        (r'@th,64,5 \{ ([\d, ]+) \} ',
         lambda found: f'-m u32 --u32 "{_PAYLOAD[version]}>>27={found[1].replace(" ", "")}"'),
        (r'meta l4proto esp ', lambda found: '-p esp'),
        (r'@th,64,32 != 0 ', lambda found: f'-m u32 ! --u32 "{_PAYLOAD[version]}=0"'),
        (r'udp length > (\d+) ', lambda found: f'-m length --length {_HEADER_BYTES[version] + int(found[1]) + 1}:65535'),
    )
    words, rest = [], rule
    while rest != 'drop':
        for pattern, say_it in matches:
            if found := re.match(pattern, rest):
                words.append(say_it(found))
                rest = rest[found.end():]
                break
        else:
            raise Fault(f'not to be said in iptables: {rule}')
    return ' '.join(['-A FORWARD', *words, '-j DROP'])


def _mapping(client, version):
    """The target for a packet of this client's, and its options."""
    address, port = client.mapped or (None, None)
    ports = port or f'{client.ports}-{client.ports + 499}'
    if address is None or (':' in address) != (version == 6):
        return f'MASQUERADE --to-ports {ports}'
    return f'SNAT --to-source {f"[{address}]" if version == 6 else address}:{ports}'


def load(inside, version, clients, muted, open_port):
    """inside(*words, stdin=): runs words in the router. clients: [(client, its first and last address)]; none: no NAT."""
    nat = [f'-A POSTROUTING -o wan -p {protocol} -m iprange --src-range {first}-{last} -j {_mapping(client, version)}'
           for client, first, last in clients for protocol in ('tcp', 'udp')]
    nat += ['-A POSTROUTING -o wan -j MASQUERADE'] if clients else []
    own = [f'-A INPUT -i wan -p udp --dport {open_port} -j ACCEPT',
           *(f'-A INPUT -i wan -p {protocol} -j DROP' for protocol in ('tcp', 'udp'))]
    text = ['*nat', *nat, 'COMMIT', '*filter', *own, *(_forward(rule, version) for rule in sorted(muted)), 'COMMIT', '']
    inside('iptables-legacy-restore' if version == 4 else 'ip6tables-legacy-restore', stdin='\n'.join(text))
