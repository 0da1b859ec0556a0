/* SPDX-License-Identifier: GPL-2.0 */
/*
 * For a program that performs every operation of its table in every manner. It
 * names them, each by SITE_TEST().
 */
#ifndef SELFTEST_MMU_NOTIFIER_SITES_HARNESS_H
#define SELFTEST_MMU_NOTIFIER_SITES_HARNESS_H

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

#endif /* SELFTEST_MMU_NOTIFIER_SITES_HARNESS_H */
