#include <stddef.h>
#include <string.h>

#include "common/ids.h"
#include "regress/lib/showkit.h"

struct out
showkit_out(bool json, unsigned int width)
{
	struct out o;

	memset(&o, 0, sizeof(o));
	o.json = json;
	o.width = width;
	o.now = NOW_2026;
	return o;
}

void
showkit_status(struct out *o, unsigned int tailnets, const char *refused)
{
	struct m_ctl_proc *p;
	struct show *s;
	struct msg m;

	s = show_new(A_STATUS, o);
	msg_init(&m, M_CTL_PROC);
	p = &m.u.ctl_proc;
	p->role = ROLE_MASTER;
	p->pid = 100;
	p->state = 2;
	p->uptime_s = 7200;
	p->starts = 1;
	show_row(s, &m);
	p->role = ROLE_WORKER;
	p->slot = 1;
	p->generation = 4;
	p->pid = 1043;
	p->state = HEALTH_STARTING;
	p->uptime_s = 59;
	p->starts = 4;
	p->streams = 500;
	p->sessions = 510;
	p->conns = 520;
	p->counts.handshakes = 1;
	p->counts.bytes_out = 1ULL << 53;
	p->counts.pauses = 3;
	p->counts.behind = 4;		/* not a worker's */
	show_row(s, &m);
	while (tailnets-- > 0) {
		msg_init(&m, M_CTL_SUMMARY);
		m.u.ctl_summary.tailnet = 1;
		m.u.ctl_summary.name = slice_str("default");
		m.u.ctl_summary.nodes = 12;
		m.u.ctl_summary.online = 10;
		m.u.ctl_summary.users = 1;
		m.u.ctl_summary.seq = 345;
		m.u.ctl_summary.policy = slice_str("allow-all");
		m.u.ctl_summary.refused = slice_str(refused);
		show_row(s, &m);
	}
	show_end(s);
	show_free(s);
}
