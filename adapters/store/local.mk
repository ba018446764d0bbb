# SPDX-License-Identifier: GPL-2.0-or-later
# libjump-store.la: the stores behind the store port. Position-independent.
noinst_LTLIBRARIES += libjump-store.la
libjump_store_la_CPPFLAGS = -D_GNU_SOURCE -I$(srcdir)/core/include -I$(srcdir)/adapters $(SODIUM_CFLAGS)
libjump_store_la_LIBADD = $(SODIUM_LIBS)
libjump_store_la_SOURCES = adapters/store/memory.c adapters/store/memory.h adapters/store/store.h
