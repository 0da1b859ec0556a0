// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "stage.h"

static enum outcome stage_map(struct scene *s, int prot, int flags)
{
	if (s->file < 0)
		flags |= MAP_ANONYMOUS;
	if (mmap(s->addr, s->size, prot, flags | MAP_FIXED, s->file, 0) ==
	    MAP_FAILED)
		return scene_error(s, "mmap");
	/* One page at a time, also where huge ones are the default */
	madvise(s->addr, s->size, MADV_NOHUGEPAGE);
	return SITE_PASS;
}

enum outcome stage_anon(struct scene *s)
{
	return stage_map(s, PROT_READ | PROT_WRITE, MAP_PRIVATE);
}

enum outcome stage_tmpfs(struct scene *s)
{
	s->file = memfd_create("mmu_notifier", MFD_CLOEXEC);
	if (s->file < 0)
		return scene_skip(s, "memfd_create: %s", strerror(errno));
	if (ftruncate(s->file, s->size))
		return scene_error(s, "ftruncate");
	return stage_map(s, PROT_READ | PROT_WRITE, MAP_SHARED);
}

/* A new file on ext4, that vanishes when it is closed */
static enum outcome open_ext4(struct scene *s, const char *variable,
			      const char *usual)
{
	const char *dir = getenv(variable);
	struct statfs fs;

	if (!dir)
		dir = usual;
	if (statfs(dir, &fs) || fs.f_type != EXT4_SUPER_MAGIC)
		return scene_skip(s, "no ext4 at %s, see $%s", dir, variable);
	s->file = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	return s->file < 0 ? scene_error(s, "open on ext4") : SITE_PASS;
}

/* Written pages */
static enum outcome fill_file(struct scene *s)
{
	char *page = calloc(1, s->page);

	for (unsigned int i = 0; page && i < PAGES; i++) {
		memset(page, i + 1, s->page);
		if (write(s->file, page, s->page) != (ssize_t)s->page) {
			free(page);
			return scene_error(s, "write to ext4");
		}
	}
	free(page);
	return SITE_PASS;
}

static enum outcome open_cached(struct scene *s)
{
	enum outcome outcome = open_ext4(s, "TMN_EXT4", "/mnt/ext4");

	return outcome ? outcome : fill_file(s);
}

enum outcome stage_ext4(struct scene *s)
{
	enum outcome outcome = open_cached(s);

	if (outcome)
		return outcome;
	return stage_map(s, PROT_READ | PROT_WRITE, MAP_SHARED);
}

enum outcome stage_ext4_private(struct scene *s)
{
	enum outcome outcome = open_cached(s);

	if (outcome)
		return outcome;
	return stage_map(s, PROT_READ | PROT_WRITE, MAP_PRIVATE);
}

enum outcome stage_open_dax(struct scene *s)
{
	enum outcome outcome = open_ext4(s, "TMN_DAX", "/mnt/dax");
	struct statx stat;

	if (outcome)
		return outcome;
	if (statx(s->file, "", AT_EMPTY_PATH, 0, &stat) ||
	    !(stat.stx_attributes & STATX_ATTR_DAX))
		return scene_skip(s, "the file system does no DAX");
	return SITE_PASS;
}

static enum outcome stage_map_dax(struct scene *s, int flags)
{
	enum outcome outcome = stage_open_dax(s);

	if (!outcome)
		outcome = fill_file(s);
	if (outcome)
		return outcome;
	return stage_map(s, PROT_READ | PROT_WRITE, flags);
}

enum outcome stage_dax(struct scene *s)
{
	return stage_map_dax(s, MAP_SHARED);
}

enum outcome stage_dax_private(struct scene *s)
{
	return stage_map_dax(s, MAP_PRIVATE);
}

enum outcome stage_swap(struct scene *s)
{
	FILE *swaps = fopen("/proc/swaps", "re");
	int lines = 0, c;

	if (!swaps)
		return scene_skip(s, "no /proc/swaps");
	while ((c = getc(swaps)) != EOF)
		lines += c == '\n';
	fclose(swaps);
	return lines > 1 ? SITE_PASS : scene_skip(s, "no swap space");
}

enum outcome stage_anon_swap(struct scene *s)
{
	enum outcome outcome = stage_swap(s);

	return outcome ? outcome : stage_anon(s);
}

enum outcome stage_tmpfs_swap(struct scene *s)
{
	enum outcome outcome = stage_swap(s);

	return outcome ? outcome : stage_tmpfs(s);
}

enum outcome stage_fork(struct scene *s)
{
	s->child = fork();
	if (s->child < 0)
		return scene_error(s, "fork");
	if (!s->child) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	return SITE_PASS;
}

enum outcome stage_madvise(struct scene *s, int advice, const char *name)
{
	if (!madvise(s->addr, s->size, advice))
		return SITE_PASS;
	if (errno == EINVAL)
		return scene_skip(s, "%s: %s", name, strerror(errno));
	return scene_error(s, name);
}

int stage_write(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int ret = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, value, strlen(value)) < 0)
		ret = -errno;
	close(fd);
	return ret;
}

enum outcome stage_need(struct scene *s, const char *path, const char *value)
{
	int ret = stage_write(path, value);

	if (!ret)
		return SITE_PASS;
	return scene_skip(s, "%s: %s", path, strerror(-ret));
}

/* As madvise() does before it looks at pages, also where there are none */
enum outcome stage_drain_lru(struct scene *s)
{
	return madvise(s->spare, s->size, MADV_COLD) ?
	       scene_error(s, "MADV_COLD") : SITE_PASS;
}
