// SPDX-License-Identifier: GPL-2.0
/* Perform every operation of the table in every manner. */
#include "kselftest_harness.h"
#include "site.h"

FIXTURE(sites) {
	struct result result;
};

FIXTURE_VARIANT(sites) {
	const struct manner *manner;
};

FIXTURE_VARIANT_ADD(sites, kvm) {
	.manner = &manner_kvm,
};

FIXTURE_VARIANT_ADD(sites, kvm_holding) {
	.manner = &manner_kvm_holding,
};

FIXTURE_VARIANT_ADD(sites, gru) {
	.manner = &manner_gru,
};

FIXTURE_VARIANT_ADD(sites, xpmem) {
	.manner = &manner_xpmem,
};

FIXTURE_SETUP(sites) {}

FIXTURE_TEARDOWN(sites) {}

static const char *tested[64];
static unsigned int nr_tested;

/* Compaction on a busy machine, under KASAN, takes more than half a minute */
#define SITE_SECONDS	120

/* One test for the site of this id, in every variant */
#define SITE_TEST(site_id)						\
static void __attribute__((constructor)) note_##site_id(void)		\
{									\
	tested[nr_tested++] = #site_id;					\
}									\
									\
TEST_F_TIMEOUT(sites, site_id, SITE_SECONDS)				\
{									\
	const struct site *site = site_find(#site_id);			\
									\
	ASSERT_NE(NULL, site);						\
	switch (site_run(site, variant->manner, &self->result)) {	\
	case SITE_PASS:							\
		break;							\
	case SITE_SKIP:							\
		SKIP(return, "%s", self->result.why);			\
	case SITE_FAIL:							\
		ASSERT_TRUE(false) TH_LOG("%s", self->result.why);	\
	}								\
}

SITE_TEST(write_zero_page)
SITE_TEST(write_private_file)
SITE_TEST(write_after_fork)
SITE_TEST(write_by_force)
SITE_TEST(write_ksm_page)
SITE_TEST(munmap_anon)
SITE_TEST(munmap_file)
SITE_TEST(map_fixed)
SITE_TEST(remap_file_pages)
SITE_TEST(dontneed)
SITE_TEST(truncate_tmpfs)
SITE_TEST(truncate_ext4)
SITE_TEST(punch_hole)
SITE_TEST(direct_write)
SITE_TEST(guard_install)
SITE_TEST(fork)
SITE_TEST(mprotect_read)
SITE_TEST(mprotect_none)
SITE_TEST(madvise_free)
SITE_TEST(msync)
SITE_TEST(mremap_move)
SITE_TEST(mremap_dontunmap)
SITE_TEST(uffdio_move)
SITE_TEST(ksm_merge)
SITE_TEST(compaction)
SITE_TEST(pageout_anon)
SITE_TEST(pageout_tmpfs)
SITE_TEST(pageout_ext4)
SITE_TEST(pageout_other)
SITE_TEST(reclaim_aging)
SITE_TEST(page_idle)
SITE_TEST(madvise_cold)
SITE_TEST(clear_refs)
SITE_TEST(owner_exit)
SITE_TEST(process_mrelease)

TEST(every_site_is_tested)
{
	const struct site *site;

	for (unsigned int i = 0; (site = site_at(i)); i++) {
		unsigned int j = 0;

		while (j < nr_tested && strcmp(tested[j], site->id))
			j++;
		EXPECT_LT(j, nr_tested)
			TH_LOG("%s", site->id);
	}
}

TEST_HARNESS_MAIN
