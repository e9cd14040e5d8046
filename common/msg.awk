# Turns msg.tbl into msg_gen.h (-v out=h) or msg_gen.c (-v out=c).
# -v sum=N is a checksum of the table: two programs with different tables
# refuse to talk.

function die(text) {
	printf "%s:%d: %s\n", FILENAME, FNR, text > "/dev/stderr"
	failed = 1
	exit 1
}

function range(text,    part) {
	if (split(text, part, /\.\./) != 2)
		die("not a range: " text)
	lo = part[1]
	hi = part[2]
}

# One field of the record or message being read.
function field(name, type, arg,    k) {
	nfield[owner]++
	k = owner SUBSEP nfield[owner]
	fname[k] = name
	lo = hi = 0
	frec[k] = ""
	if (type ~ /^(u8|u16|u32|u64|i64|bool|ip|prefix|ipport)$/)
		fkind[k] = toupper(type)
	else if (type == "fix" || type == "key") {
		fkind[k] = type == "fix" ? "FIX" : "KEY"
		lo = hi = arg + 0
	} else if (type == "bytes" || type == "str" || type == "secstr") {
		fkind[k] = toupper(type)
		range(arg)
	} else if (type == "rec" || type == "list") {
		fkind[k] = toupper(type)
		frec[k] = arg
		if (!(arg in isrec))
			die("no such record: " arg)
		if (type == "list")
			range($4)
	} else
		die("no such type: " type)
	flo[k] = lo
	fhi[k] = hi
	if (type == "key" || type == "secstr")
		secret[owner] = 1
}

/^#/ || /^[ \t]*$/ { next }
/^\t-/ {
	text = $0
	sub(/^\t- ?/, "", text)
	if (nfield[owner] == 0)
		note[owner] = note[owner] (note[owner] == "" ? "" : "\n * ") text
	else {
		k = owner SUBSEP nfield[owner]
		fnote[k] = fnote[k] (fnote[k] == "" ? "" : "\n\t * ") text
	}
	next
}
/^record / {
	owner = "r_" $2
	isrec[$2] = 1
	recs[++nrec] = $2
	nfield[owner] = 0
	next
}
/^message / {
	if (NF != 9)
		die("a message has nine columns")
	owner = "m_" tolower($2)
	msgs[++nmsg] = $2
	nfield[owner] = 0
	link[nmsg] = $3
	split($4, way, ">")
	from[nmsg] = way[1]
	to[nmsg] = way[2]
	state[nmsg] = $5
	fd[nmsg] = $6
	class[nmsg] = $7
	credit[nmsg] = $8
	principal[nmsg] = $9
	if ($2 !~ ("^" $3 "_"))
		die($2 " does not begin with its link")
	next
}
/^\t/ {
	if (owner == "")
		die("a field of nothing")
	field($1, $2, $3)
	next
}
{ die("not understood: " $0) }

function ctype(k,    t) {
	t = fkind[k]
	if (t == "BOOL")
		return "bool\t\t\t " fname[k]
	if (t == "I64")
		return "int64_t\t\t\t " fname[k]
	if (t ~ /^U/)
		return "uint" substr(t, 2) "_t\t\t " fname[k]
	if (t == "FIX" || t == "KEY")
		return "uint8_t\t\t\t " fname[k] "[" fhi[k] "]"
	if (t == "BYTES" || t == "STR" || t == "SECSTR")
		return "struct slice\t\t " fname[k]
	if (t == "IP")
		return "struct ip\t\t " fname[k]
	if (t == "PREFIX")
		return "struct prefix\t\t " fname[k]
	if (t == "IPPORT")
		return "struct ipport\t\t " fname[k]
	if (t == "REC")
		return "struct r_" frec[k] "\t " fname[k]
	return "struct msg_list\t\t " fname[k] ";\t/* of r_" frec[k] " */"
}

function structure(o,    i, text) {
	if (note[o] != "")
		printf "/*\n * %s\n */\n", note[o]
	printf "struct %s {\n", o
	for (i = 1; i <= nfield[o]; i++) {
		text = ctype(o SUBSEP i)
		if (text !~ /;/)
			text = text ";"
		if (fnote[o SUBSEP i] != "")
			printf "\t/*\n\t * %s\n\t */\n", fnote[o SUBSEP i]
		printf "\t%s\n", text
	}
	if (nfield[o] == 0)
		print "\tchar\t\t\t nothing;"
	print "};\n"
}

function header(    i, low) {
	print "/* Made from msg.tbl by msg.awk: do not edit. */\n"
	print "#ifndef COMMON_MSG_GEN_H\n#define COMMON_MSG_GEN_H\n"
	print "#include <stdbool.h>\n#include <stddef.h>\n#include <stdint.h>\n"
	print "#include \"common/ip.h\"\n#include \"common/str.h\"\n"
	print "#define MSG_TABLE_SUM\t" sum "u\n"
	print "/* A checked list of records; msg_list_next() walks it. */"
	print "struct msg_list {\n\tconst uint8_t\t\t*p;\n\tsize_t\t\t\t n;"
	print "\tuint32_t\t\t count;\n};\n"
	print "enum msg_rec {"
	for (i = 1; i <= nrec; i++)
		print "\tMR_" toupper(recs[i]) ","
	print "\tMR_MAX\n};\n"
	print "enum msg_type {\n\tM_NONE,"
	for (i = 1; i <= nmsg; i++)
		print "\tM_" msgs[i] ","
	print "\tM_MAX\n};\n"
	for (i = 1; i <= nrec; i++)
		structure("r_" recs[i])
	for (i = 1; i <= nmsg; i++)
		structure("m_" tolower(msgs[i]))
	print "/*\n * A message in memory.  Slices and lists point into the octets that it"
	print " * was decoded from, or into the caller's when it is to be encoded."
	print " */"
	print "struct msg {\n\tenum msg_type\t\t type;"
	print "\tuint32_t\t\t id;\t/* request id, 0 for none */"
	print "\tint\t\t\t fd;\t/* -1, or a descriptor */\n\tunion {"
	for (i = 1; i <= nmsg; i++) {
		low = tolower(msgs[i])
		print "\t\tstruct m_" low "\t" low ";"
	}
	print "\t} u;\n};\n"
	print "#endif"
}

function roles(set,    part, n, i, text) {
	n = split(set, part, ",")
	for (i = 1; i <= n; i++)
		text = text (i > 1 ? " | " : "") "MSG_ROLE(ROLE_" toupper(part[i]) ")"
	return text
}

function fields(o, base,    i, k, t) {
	printf "static const struct msg_field f_%s[] = {\n", o
	for (i = 1; i <= nfield[o]; i++) {
		k = o SUBSEP i
		t = frec[k] == "" ? "MR_MAX" : "MR_" toupper(frec[k])
		printf "\t{ \"%s\", MF_%s, %s, %s, offsetof(%s, %s), %s },\n",
		    fname[k], fkind[k], flo[k], fhi[k], base, fname[k], t
	}
	if (nfield[o] == 0)
		print "\t{ NULL, MF_BOOL, 0, 0, 0, MR_MAX },"
	print "};\n"
}

function code(    i, low) {
	print "/* Made from msg.tbl by msg.awk: do not edit. */\n"
	print "#include \"common/msg.h\"\n#include \"common/msg_int.h\"\n"
	for (i = 1; i <= nrec; i++)
		fields("r_" recs[i], "struct r_" recs[i])
	for (i = 1; i <= nmsg; i++)
		fields("m_" tolower(msgs[i]), "struct m_" tolower(msgs[i]))
	print "static const struct msg_record records[MR_MAX] = {"
	for (i = 1; i <= nrec; i++)
		printf "\t[MR_%s] = { \"%s\", f_r_%s, %d, sizeof(struct r_%s) },\n",
		    toupper(recs[i]), recs[i], recs[i], nfield["r_" recs[i]], recs[i]
	print "};\n"
	print "static const struct msg_row rows[M_MAX] = {"
	for (i = 1; i <= nmsg; i++) {
		low = "m_" tolower(msgs[i])
		printf "\t[M_%s] = {\n\t\t\"%s\", LINK_%s,\n\t\t%s,\n\t\t%s,\n", msgs[i],
		    msgs[i], link[i], roles(from[i]), roles(to[i])
		printf "\t\tMSG_%s, %s, MSG_%s, %d, MSG_BY_%s, %s,\n", toupper(state[i]),
		    fd[i] == "fd" ? "true" : "false", toupper(class[i]), credit[i],
		    toupper(principal[i]), secret[low] ? "true" : "false"
		printf "\t\tf_%s, %d\n\t},\n", low, nfield[low]
	}
	print "};\n"
	print "const struct msg_row *\nmsg_row(unsigned int type)\n{"
	print "\tif (type == M_NONE || type >= M_MAX)\n\t\treturn NULL;"
	print "\treturn &rows[type];\n}\n"
	print "const struct msg_record *\nmsg_record(enum msg_rec rec)\n{"
	print "\treturn &records[rec];\n}"
}

END {
	if (failed)
		exit 1
	if (out == "h")
		header()
	else
		code()
}
