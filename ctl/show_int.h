/* Between show.c, metrics.c and the other show_*.c. */

#ifndef CTL_SHOW_INT_H
#define CTL_SHOW_INT_H

#include "ctl/show.h"

#define NODE_COLUMNS	9
#define COUNT_COLUMNS	4
#define DERP_COLUMNS	8
#define CERT_COLUMNS	6

const struct column	*node_columns(void);
void	node_cells(struct table *, const struct m_ctl_node *, int64_t now);
/* An object. */
void	node_json(struct json *, const struct m_ctl_node *);

/* What a process counts, and what it is called where. */
struct count {
	const char	*name;		/* in status; headscalectl(8) */
	size_t		 at;		/* in struct r_counters */
	unsigned int	 roles;		/* that count it: 1 << ROLE_... */
	bool		 gauge;		/* it may fall, too */
	const char	*metric;	/* NULL: by its name; "": none */
	const char	*label;		/* of the metric, or NULL */
	const char	*help;		/* NULL: the one before says it */
};
const struct count *count_list(size_t *n);
/* True if the process counts it: *v. */
bool	count_get(const struct count *, const struct m_ctl_proc *,
	    uint64_t *v);
/* A process's counters: a row for each, or a member with an object of them. */
const struct column	*count_columns(void);
void	count_cells(struct table *, const struct m_ctl_proc *);
void	count_json(struct json *, const struct m_ctl_proc *);
/* Relays and certificates: a row, and an object. */
const struct column	*derp_columns(void);
void	derp_row(struct table *, struct json *, const struct m_ctl_derp *,
	    int64_t now);
const struct column	*cert_columns(void);
void	cert_row(struct table *, struct json *, const struct m_ctl_cert *,
	    int64_t now);
/* Texts joined by commas, or a member with an array of them. */
void	texts_plain(struct buf *, const struct msg_list *);
void	texts_json(struct json *, const char *key, const struct msg_list *);
/* A cell with a peer's text, or "-". */
void	text_cell(struct table *, struct slice);
/* A cell with a number. */
void	number_cell(struct table *, uint64_t);

#endif
