// SPDX-License-Identifier: GPL-2.0
/* DAMON looks at the young bits of pages that it picks at random. */
#include <stdio.h>
#include <unistd.h>

#include "site.h"
#include "stage.h"

#define ADMIN		"/sys/kernel/mm/damon/admin/kdamonds/"
#define CONTEXT		ADMIN "0/contexts/0/"
#define REGION		CONTEXT "targets/0/regions/0/"
#define MILLISECONDS	200

static enum outcome need_number(struct scene *s, const char *path,
				unsigned long number)
{
	char value[24];

	snprintf(value, sizeof(value), "%lu", number);
	return stage_need(s, path, value);
}

/* The mirrored pages and nothing else, in the order that sysfs demands */
static enum outcome describe(struct scene *s)
{
	const struct {
		const char *path;
		unsigned long number;
	} settings[] = {
		{ ADMIN "nr_kdamonds", 1 },
		{ ADMIN "0/contexts/nr_contexts", 1 },
		{ CONTEXT "targets/nr_targets", 1 },
		{ CONTEXT "targets/0/pid_target", getpid() },
		{ CONTEXT "targets/0/regions/nr_regions", 1 },
		{ REGION "start", (unsigned long)s->addr },
		{ REGION "end", (unsigned long)s->addr + s->size },
	};
	enum outcome outcome = SITE_PASS;

	for (size_t i = 0; !outcome && i < ARRAY_SIZE(settings); i++) {
		outcome = need_number(s, settings[i].path, settings[i].number);
		if (!outcome && i == 1)
			outcome = stage_need(s, CONTEXT "operations",
					     "fvaddr");
	}
	/* It takes no notice of pages that are not on an LRU list yet */
	return outcome ? outcome : stage_drain_lru(s);
}

static enum outcome watch(struct scene *s)
{
	enum outcome outcome = stage_need(s, ADMIN "0/state", "on");

	if (outcome)
		return outcome;
	usleep(MILLISECONDS * 1000);
	return stage_need(s, ADMIN "0/state", "off");
}

static void forget(struct scene *s)
{
	stage_write(ADMIN "0/state", "off");
	stage_write(ADMIN "nr_kdamonds", "0");
}

const struct site damon_sites[] = {
	{
		.id = "damon",
		.name = "DAMON looks for accesses",
		.v4 = "-",
		.prepare = stage_anon,
		.arrange = describe,
		.perform = watch,
		.undo = forget,
		.expect = {
			.rule = RULE_AGE,
			.locks = TMN_LOCK_PTE,
			.age = TMN_CLEAR_YOUNG,
			.keeps = true,
		},
	},
	{}
};
