/* How much a node may say of itself to its peers (trust.md 6). */

#include <string.h>

#include "common/json.h"
#include "common/log.h"
#include "dbd/handlers_int.h"

#define VISIBLE_MAX	4096

static void
put_texts(struct json *j, struct msg_list list)
{
	struct r_text t;

	while (msg_list_next(&list, MR_TEXT, &t))
		json_str(j, t.v);
}

static void
put_services(struct json *j, struct msg_list list)
{
	struct r_service s;

	while (msg_list_next(&list, MR_SERVICE, &s)) {
		json_str(j, s.proto);
		json_u64(j, s.port);
	}
}

static void
put_endpoints(struct json *j, struct msg_list list)
{
	char text[IPPORT_TEXT];
	struct r_addr a;

	while (msg_list_next(&list, MR_ADDR, &a)) {
		(void)ipport_print(text, &a.v);
		json_cstr(j, text);
	}
}

/*
 * Octets that peers see of the node, without routes.  As JSON, in which an
 * octet may become six; the names of the fields are ours and are not counted.
 */
static size_t
visible(struct dbd *d, const struct r_node *r)
{
	const struct r_hostinfo *h = &r->hostinfo;
	const struct slice text[] = { h->ipn_version, h->os, h->os_version,
	    h->distro, h->distro_version, h->distro_codename,
	    h->device_model, h->hostname, h->app, h->package, h->machine,
	    h->go_arch, h->go_arch_var, h->go_version, h->cloud };
	struct json j;
	size_t i;

	buf_clear(&d->scratch);
	json_init(&j, &d->scratch);
	json_arr(&j);
	for (i = 0; i < sizeof(text) / sizeof(text[0]); i++)
		json_str(&j, text[i]);
	put_texts(&j, h->ssh_host_keys);
	put_services(&j, h->services);
	put_endpoints(&j, r->endpoints);
	json_end(&j);
	return d->scratch.n;
}

/* What people know a device by stays. */
static void
keep_least(struct r_hostinfo *h)
{
	struct slice *text[] = { &h->os_version, &h->distro,
	    &h->distro_version, &h->distro_codename, &h->device_model,
	    &h->app, &h->package, &h->machine, &h->go_arch, &h->go_arch_var,
	    &h->go_version, &h->cloud };
	size_t i;

	for (i = 0; i < sizeof(text) / sizeof(text[0]); i++)
		*text[i] = slice_str("");
}

const char *
node_fit(struct dbd *d, struct r_node *r)
{
	if (visible(d, r) <= VISIBLE_MAX)
		return NULL;
	memset(&r->hostinfo.services, 0, sizeof(r->hostinfo.services));
	if (visible(d, r) <= VISIBLE_MAX)
		return "services";
	memset(&r->hostinfo.ssh_host_keys, 0,
	    sizeof(r->hostinfo.ssh_host_keys));
	if (visible(d, r) <= VISIBLE_MAX)
		return "services,ssh_host_keys";
	keep_least(&r->hostinfo);
	return "services,ssh_host_keys,details";
}

void
node_fit_log(const struct r_node *r, const char *left_out)
{
	if (left_out != NULL)
		log_info("node says too much of itself node=%llu left_out=%s",
		    (unsigned long long)r->id, left_out);
}
