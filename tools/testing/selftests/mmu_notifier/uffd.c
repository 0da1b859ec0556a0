// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "uffd.h"

enum outcome uffd_open(struct scene *s, uint64_t features)
{
	struct uffdio_api api = {
		.api = UFFD_API,
		.features = features,
	};

	s->tool = syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);
	if (s->tool < 0 || ioctl(s->tool, UFFDIO_API, &api))
		return scene_skip(s, "userfaultfd: %s", strerror(errno));
	return SITE_PASS;
}

enum outcome uffd_register(struct scene *s, const void *addr, size_t size,
			   uint64_t mode)
{
	struct uffdio_register reg = {
		.range = { .start = (uintptr_t)addr, .len = size },
		.mode = mode,
	};

	return ioctl(s->tool, UFFDIO_REGISTER, &reg) ?
	       scene_error(s, "UFFDIO_REGISTER") : SITE_PASS;
}

enum outcome uffd_ioctl(struct scene *s, unsigned long request, void *arg)
{
	return ioctl(s->tool, request, arg) ?
	       scene_error(s, "ioctl on a userfaultfd") : SITE_PASS;
}
