/* SPDX-License-Identifier: GPL-2.0 */
/* The NUMA nodes that pages are on. */
#ifndef SELFTEST_MMU_NOTIFIER_NODE_H
#define SELFTEST_MMU_NOTIFIER_NODE_H

#include "scene.h"

/* The node of a mirrored page, or a negative errno */
int node_of(struct scene *s, unsigned int page);

/* One that has memory, but is not @node; negative if there is none */
int node_other(int node);

/* Move the first @nr pages to another node; they must arrive */
enum outcome node_move_pages(struct scene *s, unsigned int nr);

/* The same, if they are on the node that the owner runs on */
enum outcome node_move_away(struct scene *s, unsigned int nr);

/* Did the first @nr pages arrive on the node? */
enum outcome node_arrived(struct scene *s, unsigned int nr, int node);

#endif /* SELFTEST_MMU_NOTIFIER_NODE_H */
