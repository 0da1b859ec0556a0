// SPDX-License-Identifier: GPL-2.0
/* The table of what every kernel can be brought to, also UML. */
#include "site.h"

const struct site * const site_parts[] = {
	cow_sites,
	unmap_sites,
	zap_sites,
	protect_sites,
	move_sites,
	compaction_sites,
	reclaim_sites,
	exit_sites,
	NULL
};
