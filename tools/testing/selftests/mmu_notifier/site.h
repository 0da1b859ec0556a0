/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A site is a place in the kernel that takes access to a user page away. The
 * table of sites says how to get there and what the device must hear then.
 */
#ifndef SELFTEST_MMU_NOTIFIER_SITE_H
#define SELFTEST_MMU_NOTIFIER_SITE_H

#include <stdbool.h>

#include "expect.h"
#include "scene.h"

struct site {
	const char *id;		/* in the names of tests */
	const char *name;	/* for people */
	/*
	 * Where "MMU Notifiers V4" (2008) had its hook for this, or "-" if the
	 * operation did not exist then or was not hooked.
	 */
	const char *v4;
	bool untouched;		/* the CPU has only read from the pages ... */
	bool read_only;		/* ... and so has the device */
	bool ends_owner;	/* the owner has to be a process of its own */
	bool spares_held;	/* nothing happens to pages that a device holds */

	/* Map the pages at scene->addr, and look for what is needed */
	enum outcome (*prepare)(struct scene *s);
	/* Optional, after the CPU and before the device has touched them */
	enum outcome (*arrange)(struct scene *s);
	enum outcome (*perform)(struct scene *s);
	/* Optional: restore what is not the owner's own, whatever happened */
	void (*undo)(struct scene *s);

	struct expect expect;
};

/*
 * The table of a program, NULL behind its last part. The parts end with a site
 * without a name.
 */
extern const struct site * const site_parts[];

extern const struct site cow_sites[];
extern const struct site unmap_sites[];
extern const struct site zap_sites[];
extern const struct site protect_sites[];
extern const struct site move_sites[];
extern const struct site compaction_sites[];
extern const struct site reclaim_sites[];
extern const struct site exit_sites[];

/* What few kernels have all of, or the machines that they run on */
extern const struct site thp_sites[];
extern const struct site thp_change_sites[];
extern const struct site thp_track_sites[];
extern const struct site thp_node_sites[];
extern const struct site hugetlb_sites[];
extern const struct site node_sites[];
extern const struct site poison_sites[];
extern const struct site track_sites[];
extern const struct site lru_gen_sites[];
extern const struct site damon_sites[];
extern const struct site device_memory_sites[];
extern const struct site dax_sites[];
extern const struct site dax_huge_sites[];

/* All sites in turn; NULL behind the last */
const struct site *site_at(unsigned int index);
/* By id; NULL if there is none of that id */
const struct site *site_find(const char *id);

/* What came of one site in one manner */
struct result {
	struct heard heard;
	struct tmn_check check;	/* after the operation */
	char why[160];		/* it did not pass */
};

enum outcome site_run(const struct site *site, const struct manner *manner,
		      struct result *result);

#endif /* SELFTEST_MMU_NOTIFIER_SITE_H */
