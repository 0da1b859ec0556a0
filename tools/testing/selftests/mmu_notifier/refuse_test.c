// SPDX-License-Identifier: GPL-2.0
/*
 * A device refuses a section that must not sleep, once: process_mrelease() says
 * so, the device keeps what it has, hears no end of the section it has refused,
 * and nothing is stale.
 */
#include <errno.h>

#include "kselftest_harness.h"
#include "exit.h"
#include "site.h"
#include "stage.h"

static enum outcome refuse(struct scene *s)
{
	int ret = device_behave(s->dev, TMN_REFUSE, 0);

	return ret ? scene_fail(s, "TMN_REFUSE: %d", ret) :
		     exit_reap(s, EAGAIN);
}

static const struct site refused_site = {
	.name = "process_mrelease, refused",
	.ends_owner = true,
	.prepare = stage_anon,
	.perform = refuse,
	.undo = exit_let_die,
	.expect = {
		.rule = RULE_EXACT,
		.event = EVENT_CLEAR,
		.nr = PAGES,
		.locks = TMN_LOCK_MMAP_READ,
		.nonblock = true,
	},
};

FIXTURE(refuse) {
	struct result result;
};

FIXTURE_VARIANT(refuse) {
	const struct manner *manner;
};

FIXTURE_VARIANT_ADD(refuse, kvm) {
	.manner = &manner_kvm,
};

FIXTURE_VARIANT_ADD(refuse, kvm_holding) {
	.manner = &manner_kvm_holding,
};

FIXTURE_VARIANT_ADD(refuse, gru) {
	.manner = &manner_gru,
};

FIXTURE_SETUP(refuse) {}

FIXTURE_TEARDOWN(refuse) {}

TEST_F(refuse, refused_start_has_no_end)
{
	enum outcome outcome = site_run(&refused_site, variant->manner,
					&self->result);

	if (outcome == SITE_SKIP)
		SKIP(return, "%s", self->result.why);
	ASSERT_EQ(SITE_PASS, outcome) {
		TH_LOG("%s", self->result.why);
	}
}

TEST_HARNESS_MAIN
