// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "node.h"

#define MPOL_MF_MOVE	2
#define MAX_NODES	64

int node_of(struct scene *s, unsigned int page)
{
	void *addr = scene_page(s, page);
	int status = -EIO;

	if (syscall(SYS_move_pages, 0, 1UL, &addr, NULL, &status, 0))
		return -errno;
	return status;
}

int node_other(int node)
{
	char path[64];

	for (int other = 0; other < MAX_NODES; other++) {
		snprintf(path, sizeof(path),
			 "/sys/devices/system/node/node%d/meminfo", other);
		if (other != node && !access(path, F_OK))
			return other;
	}
	return -1;
}

enum outcome node_arrived(struct scene *s, unsigned int nr, int node)
{
	for (unsigned int page = 0; page < nr; page++) {
		int there = node_of(s, page);

		if (there != node)
			return scene_fail(s, "page %u: node %d, not %d",
					  page, there, node);
	}
	return SITE_PASS;
}

enum outcome node_move_pages(struct scene *s, unsigned int nr)
{
	int nodes[PAGES], status[PAGES];
	void *pages[PAGES];
	int from = node_of(s, 0);
	int to = node_other(from);

	if (from < 0 || to < 0)
		return scene_skip(s, "pages on node %d, none but it", from);
	for (unsigned int i = 0; i < nr; i++) {
		pages[i] = scene_page(s, i);
		nodes[i] = to;
	}
	if (syscall(SYS_move_pages, 0, (unsigned long)nr, pages, nodes, status,
		    MPOL_MF_MOVE) < 0)
		return scene_error(s, "move_pages");
	return node_arrived(s, nr, to);
}

enum outcome node_move_away(struct scene *s, unsigned int nr)
{
	unsigned int here;

	if (syscall(SYS_getcpu, NULL, &here, NULL))
		return scene_error(s, "getcpu");
	return node_of(s, 0) == (int)here ? node_move_pages(s, nr) : SITE_PASS;
}
