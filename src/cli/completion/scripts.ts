/**
 * What a shell runs to complete a portmesh command. The scripts know nothing of the commands: they hand the words to
 * `portmesh __complete`, whose first line is "files" or "words", and the others VALUE<TAB>DESCRIPTION.
 */

/**
 * readline splits words at ":" and "=" too, so the parts of a word are joined again, and what stands before the last
 * of these characters is taken off the candidates: readline puts it there itself.
 */
const BASH = `# bash completion for portmesh
_portmesh() {
  local line=\${COMP_LINE:0:COMP_POINT} index gap word before kind candidate
  local -a words=()
  COMPREPLY=()
  for ((index = 0; index <= COMP_CWORD; index++)); do
    gap=\${line%%[![:space:]]*}
    line=\${line#"$gap"}
    word=\${COMP_WORDS[index]}
    [[ $line == "$word"* ]] || word=$line # the cursor is inside the word
    line=\${line#"$word"}
    if ((index == 0)) || [[ -n $gap ]]; then words+=("$word"); else words[-1]+=$word; fi
  done
  word=\${words[-1]}
  if [[ $COMP_WORDBREAKS == *:* ]]; then before=\${word%"\${word##*[:=]}"}; else before=\${word%"\${word##*=}"}; fi
  {
    read -r kind
    if [[ $kind == files ]]; then
      compopt -o default 2>/dev/null
      return
    fi
    while IFS=$'\\t' read -r candidate _; do COMPREPLY+=("\${candidate#"$before"}"); done
  } < <("\${words[0]/#\\~/$HOME}" __complete -- "\${words[@]:1}" 2>/dev/null)
}
complete -F _portmesh portmesh
`;

const ZSH = `#compdef portmesh
_portmesh() {
  local -a lines candidates
  local line value description
  lines=("\${(@f)$("\${\${(Q)words[1]}/#\\~/$HOME}" __complete -- "\${(@Q)words[2,CURRENT-1]}" "\${(Q)PREFIX}" 2>/dev/null)}")
  if [[ $lines[1] == files ]]; then
    [[ $PREFIX == --*=* ]] && compset -P '*='
    _files
    return
  fi
  for line in "\${(@)lines[2,-1]}"; do
    value=\${line%%$'\\t'*}
    description=\${line#*$'\\t'}
    [[ -n $value ]] && candidates+=("\${value//:/\\\\:}\${description:+:$description}")
  done
  _describe portmesh candidates
}
if [[ $funcstack[1] == _portmesh ]]; then
  _portmesh "$@"
else
  compdef _portmesh portmesh
fi
`;

const FISH = `# fish completion for portmesh
function __portmesh_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l program (string replace -r '^~' $HOME -- $words[1])
    set -l lines ($program __complete -- $words[2..-1] "$current" 2>/dev/null)
    if test "$lines[1]" = files
        set -l option (string match -r -- '^--[^=]*=' "$current")
        for path in (__fish_complete_path (string replace -r -- '^--[^=]*=' '' "$current"))
            echo "$option$path"
        end
    else
        printf '%s\\n' $lines[2..-1]
    end
end
complete -c portmesh -f -a '(__portmesh_complete)'
`;

export const SCRIPTS = { bash: BASH, zsh: ZSH, fish: FISH } as const;
