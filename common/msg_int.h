/* The table's descriptors: for msg.c, msg_gen.c and their tests only. */

#ifndef COMMON_MSG_INT_H
#define COMMON_MSG_INT_H

#include "common/msg.h"

enum msg_kind {
	MF_U8, MF_U16, MF_U32, MF_U64, MF_I64, MF_BOOL, MF_FIX, MF_KEY,
	MF_BYTES, MF_STR, MF_SECSTR, MF_IP, MF_PREFIX, MF_IPPORT, MF_REC,
	MF_LIST
};

struct msg_field {
	const char	*name;
	enum msg_kind	 kind;
	uint32_t	 min;
	uint32_t	 max;
	size_t		 offset;
	enum msg_rec	 rec;		/* of MF_REC and MF_LIST */
};

struct msg_record {
	const char	*name;
	const struct msg_field *fields;
	unsigned int	 nfields;
	size_t		 size;
};

#define MSG_ROLE(r)	(1u << (r))

struct msg_row {
	const char	*name;
	enum msg_link	 link;
	unsigned int	 from;		/* MSG_ROLE bits */
	unsigned int	 to;
	unsigned int	 state;		/* enum msg_state bits */
	bool		 fd;
	enum msg_class	 class;
	unsigned int	 credit;
	enum msg_principal principal;
	bool		 secret;
	const struct msg_field *fields;
	unsigned int	 nfields;
};

/* The row of a type, or NULL. */
const struct msg_row	*msg_row(unsigned int type);
const struct msg_record	*msg_record(enum msg_rec);

#endif
