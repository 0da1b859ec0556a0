// SPDX-License-Identifier: GPL-2.0
/* Perform every operation on huge pages in every manner. */
#include "sites_harness.h"

const struct site * const site_parts[] = {
	thp_sites,
	thp_change_sites,
	thp_track_sites,
	thp_node_sites,
	hugetlb_sites,
	dax_huge_sites,
	NULL
};

SITE_TEST(thp_munmap)
SITE_TEST(thp_munmap_part)
SITE_TEST(thp_dontneed)
SITE_TEST(thp_dontneed_part)
SITE_TEST(thp_free)
SITE_TEST(thp_mprotect)
SITE_TEST(thp_mprotect_part)
SITE_TEST(thp_fork)
SITE_TEST(thp_write_after_fork)
SITE_TEST(thp_write_zero)
SITE_TEST(thp_mremap)
SITE_TEST(thp_uffdio_move)
SITE_TEST(thp_move_pages)
SITE_TEST(thp_pageout)
SITE_TEST(thp_split)
SITE_TEST(collapse_anon)
SITE_TEST(collapse_tmpfs)
SITE_TEST(thp_uffd_writeprotect)
SITE_TEST(thp_pagemap_scan)
SITE_TEST(thp_soft_dirty)
SITE_TEST(thp_numa_balancing)
SITE_TEST(hugetlb_munmap)
SITE_TEST(hugetlb_dontneed)
SITE_TEST(hugetlb_truncate)
SITE_TEST(hugetlb_punch)
SITE_TEST(hugetlb_fork)
SITE_TEST(hugetlb_write_after_fork)
SITE_TEST(hugetlb_mprotect)
SITE_TEST(hugetlb_mremap)
SITE_TEST(hugetlb_move_pages)
SITE_TEST(hugetlb_unshare)
SITE_TEST(dax_huge_msync)
SITE_TEST(dax_huge_truncate)
SITE_TEST(dax_huge_munmap)
SITE_TEST(dax_huge_munmap_part)
SITE_TEST(dax_huge_mprotect)
SITE_TEST(dax_huge_write_private)

TEST_HARNESS_MAIN
