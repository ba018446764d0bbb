# SPDX-License-Identifier: GPL-2.0-or-later
"""Keys and certificates of one run: made with openssl, thrown away with the run's folder.

Owns one authority, and a key pair for each name asked for. Knows nothing of who uses them.
Read next: openvpn.py.
"""
import os

from .run import command

_NEW_KEY = ('openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes',
            '-days', '2')


class Authority:
    def __init__(self, folder):
        self.folder = folder
        os.makedirs(folder, exist_ok=True)
        command(*_NEW_KEY, '-subj', '/CN=lab authority', '-keyout', self._path('ca.key'), '-out', self._path('ca.crt'))

    def issue(self, name, usage):
        """usage: serverAuth or clientAuth. Returns the three option lines of an OpenVPN config file."""
        key, certificate = self._path(f'{name}.key'), self._path(f'{name}.crt')
        command(*_NEW_KEY, '-subj', f'/CN={name}', '-CA', self._path('ca.crt'), '-CAkey', self._path('ca.key'),
                '-addext', 'basicConstraints=CA:FALSE', '-addext', 'keyUsage=digitalSignature',
                '-addext', f'extendedKeyUsage={usage}', '-keyout', key, '-out', certificate)
        return [f'ca {self._path("ca.crt")}', f'cert {certificate}', f'key {key}']

    def _path(self, name):
        return f'{self.folder}/{name}'
