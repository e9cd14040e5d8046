# bash completion for headscalectl(8); /etc/bash_completion.d or
# /usr/share/bash-completion/completions/headscalectl

_headscalectl()
{
	local cur words word
	cur=${COMP_WORDS[COMP_CWORD]}
	words=("${COMP_WORDS[@]:1:COMP_CWORD-1}" "$cur")
	case ${COMP_WORDS[COMP_CWORD-1]} in
	-s|--socket)
		COMPREPLY=($(compgen -f -- "$cur"))
		return
		;;
	esac
	COMPREPLY=()
	while IFS=$'\t' read -r word _; do
		case $word in
		"$cur"*)	COMPREPLY+=("$word") ;;
		esac
	done < <("${COMP_WORDS[0]}" complete "${words[@]}" 2>/dev/null)
}
complete -F _headscalectl headscalectl
