// SPDX-License-Identifier: GPL-2.0
/*
 * Show what a device hears: perform every operation of the table, each in a
 * process of its own, and print a line for it.
 *
 * Usage: mmu_notifier_demo [kvm | kvm_holding | gru | xpmem]
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "site.h"

#define LINE "%-29s %-20s %-24s %-16s %s\n"

struct shown {
	enum outcome outcome;
	struct result result;
};

/* Must this manner of device hear of it at all? */
static bool is_due(const struct site *site, const struct manner *manner)
{
	switch (site->expect.rule) {
	case RULE_SILENT:
		return false;
	case RULE_AGE:
		return manner->ages;
	default:
		return true;
	}
}

static void run_apart(const struct site *site, const struct manner *manner,
		      struct shown *shown)
{
	pid_t pid;

	shown->outcome = SITE_FAIL;
	shown->result = (struct result){ .why = "died" };
	fflush(stdout);
	pid = fork();
	if (!pid) {
		shown->outcome = site_run(site, manner, &shown->result);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
}

static void show(const struct site *site, const struct shown *shown, bool due)
{
	const struct heard *heard = &shown->result.heard;
	char stale[16];

	snprintf(stale, sizeof(stale), "%u", shown->result.check.stale);
	printf(LINE, site->name, site->v4,
	       heard->announced ? heard->callbacks : due ? "NONE" : "none due",
	       heard->announced ? heard->range : "-", stale);
	if (shown->outcome)
		printf("    %s: %s\n",
		       shown->outcome == SITE_SKIP ? "skipped" : "FAILED",
		       shown->result.why);
}

int main(int argc, char **argv)
{
	const struct manner *manner = manner_find(argc > 1 ? argv[1] : "kvm");
	unsigned int due = 0, announced = 0, stale = 0, failed = 0;
	const struct site *site;
	struct shown *shown;

	shown = mmap(NULL, sizeof(*shown), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (!manner || shown == MAP_FAILED)
		return 2;

	printf("A device mirrors 16 pages in the manner of %s.\n\n",
	       manner->name);
	printf(LINE, "operation", "V4 site", "callbacks", "range", "stale");
	for (unsigned int i = 0; (site = site_at(i)); i++) {
		run_apart(site, manner, shown);
		show(site, shown, is_due(site, manner));
		due += is_due(site, manner);
		announced += shown->result.heard.announced;
		stale += shown->result.check.stale;
		failed += shown->outcome != SITE_PASS;
	}
	printf("\n%u of %u sites announced, %u stale entries\n",
	       announced, due, stale);
	return announced < due || stale || failed;
}
