// SPDX-License-Identifier: GPL-2.0
/* Perform in every manner what it takes a kernel with everything for. */
#include "sites_harness.h"

const struct site * const site_parts[] = {
	node_sites,
	poison_sites,
	track_sites,
	lru_gen_sites,
	damon_sites,
	device_memory_sites,
	dax_sites,
	NULL
};

SITE_TEST(move_pages_anon)
SITE_TEST(move_pages_tmpfs)
SITE_TEST(migrate_pages)
SITE_TEST(numa_balancing)
SITE_TEST(hwpoison_anon)
SITE_TEST(hwpoison_tmpfs)
SITE_TEST(soft_offline)
SITE_TEST(uffd_writeprotect)
SITE_TEST(pagemap_scan)
SITE_TEST(soft_dirty)
SITE_TEST(uprobe_register)
SITE_TEST(uprobe_unregister)
SITE_TEST(reclaim_generations)
SITE_TEST(damon)
SITE_TEST(device_private)
SITE_TEST(device_private_return)
SITE_TEST(device_exclusive)
SITE_TEST(device_exclusive_return)
SITE_TEST(dax_msync)
SITE_TEST(dax_truncate)
SITE_TEST(dax_punch)
SITE_TEST(dax_munmap)
SITE_TEST(dax_write_private)

TEST_HARNESS_MAIN
