#include <string.h>

#include "ctl/show_int.h"

#define W	(1U << ROLE_WORKER)
#define K	(1U << ROLE_KEYD)
#define D	(1U << ROLE_DBD)
#define S	(1U << ROLE_STUN)

#define AT(field)	#field, offsetof(struct r_counters, field)

/* headscalectl(8) says what each is. */
static const struct {
	const char	*name;
	size_t		 at;
	unsigned int	 roles;		/* that count it */
} list[] = {
	{ AT(handshakes), W | K },
	{ AT(confirmed), W | K },
	{ AT(failed), W },
	{ AT(refused), W | K | D | S },
	{ AT(expired), K },
	{ AT(held), W },
	{ AT(registers), W | D },
	{ AT(opens), W | D },
	{ AT(lites), W | D },
	{ AT(bytes_out), W },
	{ AT(pauses), W },
	{ AT(waiting), K | D },
	{ AT(delayed), D },
	{ AT(replaced), D },
	{ AT(no_room), D },
	{ AT(batches), D },
	{ AT(operations), D },
	{ AT(behind), D },
	{ AT(signatures), K },
	{ AT(relay_logins), W | K | D },
	{ AT(relay_packets), W | S },
	{ AT(relay_mesh), W },
	{ AT(relay_dropped), W | S },
	{ AT(fetches), D },
	{ AT(fetches_failed), D },
	{ AT(probes), D },
	{ AT(probes_failed), D },
	{ AT(certs), D },
	{ AT(certs_failed), D },
};

static const struct column columns[COUNT_COLUMNS] = {
	{ "PROCESS", 0, false },
	{ "SLOT", 0, true },
	{ "COUNTER", 0, false },
	{ "VALUE", 0, true },
};

const struct column *
count_columns(void)
{
	return columns;
}

/* True if the process counts the i-th, which is then in *v. */
static bool
counted(const struct m_ctl_proc *p, size_t i, uint64_t *v)
{
	if (p->role >= ROLE_MAX || (list[i].roles & 1U << p->role) == 0)
		return false;
	memcpy(v, (const char *)&p->counts + list[i].at, sizeof(*v));
	return true;
}

void
count_cells(struct table *t, const struct m_ctl_proc *p)
{
	uint64_t v;
	size_t i;

	for (i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		if (!counted(p, i, &v))
			continue;
		buf_str(table_cell(t, COLOUR_NONE), role_name(p->role));
		if (p->slot == 0)
			text_cell(t, slice_str(NULL));
		else
			number_cell(t, p->slot);
		buf_str(table_cell(t, COLOUR_NONE), list[i].name);
		number_cell(t, v);
	}
}

void
count_json(struct json *j, const struct m_ctl_proc *p)
{
	uint64_t v;
	size_t i;

	json_key(j, "counters");
	json_obj(j);
	for (i = 0; i < sizeof(list) / sizeof(list[0]); i++)
		if (counted(p, i, &v)) {
			json_key(j, list[i].name);
			json_u64(j, v);
		}
	json_end(j);
}
