# fish completion for headscalectl(8); share/fish/vendor_completions.d

function __headscalectl_complete
	set -l words (commandline -opc)
	set -l cur (commandline -ct)
	$words[1] complete $words[2..-1] "$cur" 2>/dev/null
end
complete -c headscalectl -f -a '(__headscalectl_complete)'
complete -c headscalectl -s s -l socket -r -F
