// SPDX-License-Identifier: GPL-2.0
#include <string.h>

#include "site.h"

const struct site *site_at(unsigned int index)
{
	for (size_t part = 0; site_parts[part]; part++) {
		const struct site *site = site_parts[part];

		while (site->id && index) {
			site++;
			index--;
		}
		if (site->id)
			return site;
	}
	return NULL;
}

const struct site *site_find(const char *id)
{
	const struct site *site;

	for (unsigned int i = 0; (site = site_at(i)); i++) {
		if (!strcmp(site->id, id))
			break;
	}
	return site;
}

static enum outcome take_stock(struct scene *s, struct log *log,
			       struct tmn_check *check)
{
	int ret = device_take_log(s->dev, log);

	if (!ret)
		ret = device_check(s->dev, check);
	return ret ? scene_fail(s, "taking stock: %s", strerror(-ret)) :
		     SITE_PASS;
}

static enum outcome perform(struct scene *s, const struct site *site,
			    struct result *result)
{
	static const struct expect nothing = { .rule = RULE_SILENT };
	bool spared = site->spares_held && s->manner->holds;
	static struct log log;
	struct tmn_check before, end;
	enum outcome outcome = take_stock(s, &log, &before);

	if (outcome)
		return outcome;
	outcome = site->perform(s);
	if (outcome)
		return outcome;
	outcome = take_stock(s, &log, &result->check);
	if (!outcome)
		outcome = expect_judge(s, spared ? &nothing : &site->expect, &log, &before,
				       &result->check, &result->heard);
	if (!outcome)
		outcome = scene_compare(s);
	if (!outcome)
		outcome = take_stock(s, &log, &end);
	if (!outcome && end.stale)
		outcome = scene_fail(s, "%u stale device ptes in the end: %s",
				     end.stale,
				     device_stale_reason(end.reason));
	return outcome;
}

enum outcome site_run(const struct site *site, const struct manner *manner,
		      struct result *result)
{
	struct scene scene;
	enum outcome outcome;

	memset(result, 0, sizeof(*result));
	outcome = scene_open(&scene, site, manner);
	if (!outcome)
		outcome = perform(&scene, site, result);
	scene_close(&scene, site);
	memcpy(result->why, scene.why, sizeof(result->why));
	return outcome;
}
