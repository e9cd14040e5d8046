#include "ctl/show_int.h"

static const struct column derp[DERP_COLUMNS] = {
	{ "REGION", 0, true },
	{ "CODE", 3, false },
	{ "NODE", 0, false },
	{ "HOST", 2, false },
	{ "STATE", 0, false },
	{ "LATENCY", 0, true },
	{ "PROBED", 4, false },
	{ "WHY", 1, false },
};
static const struct column cert[CERT_COLUMNS] = {
	{ "NAMES", 0, false },
	{ "SERIAL", 1, false },
	{ "EXPIRES", 0, false },
	{ "RENEW", 0, false },
	{ "FAILED", 0, true },
	{ "WHY", 0, false },
};

const struct column *
derp_columns(void)
{
	return derp;
}

const struct column *
cert_columns(void)
{
	return cert;
}

static const char *
derp_state(const struct m_ctl_derp *r)
{
	if (r->stun_only)
		return "stun";
	if (r->probed == 0)
		return r->own ? "served" : "unknown";
	if (r->ok)
		return "up";
	return r->avoid ? "down,avoid" : "down";
}

static void
derp_json(struct json *j, const struct m_ctl_derp *r)
{
	json_obj(j);
	out_json_u64(j, "region", r->region);
	out_json_str(j, "code", r->code);
	out_json_str(j, "node", r->node);
	out_json_str(j, "host", r->host);
	out_json_bool(j, "own", r->own);
	out_json_bool(j, "stun_only", r->stun_only);
	out_json_time(j, "probed", r->probed);
	out_json_bool(j, "ok", r->ok);
	out_json_u64(j, "latency_us", r->us);
	out_json_time(j, "down_since", r->down_since);
	out_json_bool(j, "avoid", r->avoid);
	out_json_str(j, "why", r->text);
	json_end(j);
}

void
derp_row(struct table *t, struct json *j, const struct m_ctl_derp *r,
    int64_t now)
{
	bool known = r->probed != 0 && !r->stun_only;
	struct buf *b;

	derp_json(j, r);
	number_cell(t, r->region);
	text_cell(t, r->code);
	text_cell(t, r->node);
	b = table_cell(t, COLOUR_NONE);
	out_vis(b, r->host);
	buf_str(b, r->own ? " (own)" : "");
	b = table_cell(t, !known ? COLOUR_NONE : r->ok ? COLOUR_GOOD :
	    COLOUR_BAD);
	buf_str(b, derp_state(r));
	if (r->down_since != 0) {
		buf_str(b, " ");
		out_when(b, r->down_since, now);
	}
	b = table_cell(t, COLOUR_NONE);
	if (known && r->ok)
		buf_printf(b, "%u.%u ms", r->us / 1000, r->us % 1000 / 100);
	else
		buf_str(b, "-");
	b = table_cell(t, COLOUR_NONE);
	if (known)
		out_when(b, r->probed, now);
	else
		buf_str(b, "-");
	text_cell(t, r->text);
}

void
cert_row(struct table *t, struct json *j, const struct m_ctl_cert *r,
    int64_t now)
{
	struct buf *b;

	json_obj(j);
	texts_json(j, "names", &r->names);
	out_json_str(j, "serial", r->serial);
	out_json_time(j, "expires", r->not_after);
	out_json_time(j, "renew", r->renew);
	out_json_u64(j, "failed", r->failed);
	out_json_str(j, "why", r->text);
	json_end(j);

	texts_plain(table_cell(t, COLOUR_NONE), &r->names);
	text_cell(t, r->serial);
	b = table_cell(t, r->not_after > now ? COLOUR_GOOD : COLOUR_BAD);
	if (r->not_after == 0)
		buf_str(b, "none yet");
	else
		out_when(b, r->not_after, now);
	b = table_cell(t, COLOUR_NONE);
	if (r->renew <= now)
		buf_str(b, "now");
	else
		out_when(b, r->renew, now);
	number_cell(t, r->failed);
	text_cell(t, r->text);
}
