package wasmer

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
)

func cliCompletionCommand() *cliCommand {
	return &cliCommand{
		name: "completion", operand: "SHELL", summary: "print a script that completes command lines",
		notes: "SHELL is bash, zsh or fish.",
		examples: `
  source <(wasmer-go completion bash)                             in ~/.bashrc
  source <(wasmer-go completion zsh)                              in ~/.zshrc, after compinit
  wasmer-go completion fish > ~/.config/fish/completions/wasmer-go.fish`,
		do: (*cli).completion,
	}
}

func (c *cli) completion(context.Context) error {
	scripts := cliScripts()
	script, ok := scripts[c.file]
	if !ok {
		return cliUsagef("there is no script for %q; there is one for %s", c.file, strings.Join(cliShells(), ", "))
	}
	c.out.WriteString(script())
	return nil
}

func cliScripts() map[string]func() string {
	return map[string]func() string{"bash": cliBashScript, "fish": cliFishScript, "zsh": cliZshScript}
}

func cliShells() []string { return slices.Sorted(maps.Keys(cliScripts())) }

// choices are the words that can stand for the operand; nil if it is a file.
func (c *cliCommand) choices() []string {
	switch strings.Trim(c.operand, "[]") {
	case "COMMAND":
		return cliCommandNames()
	case "SHELL":
		return cliShells()
	case "ACTION":
		return slices.Sorted(maps.Keys(cliCacheActions))
	}
	return nil
}

// flags are the options as they are written.
func (c *cliCommand) flags() []string {
	var flags []string
	for _, option := range c.options {
		flags = append(flags, option.flag())
	}
	return append(flags, "--help")
}

// valued are the options that a value follows.
func (c *cliCommand) valued() []string {
	var flags []string
	for _, option := range c.options {
		if option.value != "" {
			flags = append(flags, option.flag())
		}
	}
	return flags
}

// cliByShell is how a shell completes each kind of value of an option.
// The words are a format for them.
type cliByShell struct{ words, folder, variable, file, nothing string }

func (o *cliOption) completion(shell cliByShell) string {
	switch name, _, _ := strings.Cut(o.value, "["); name {
	case "COMPILER":
		return fmt.Sprintf(shell.words, strings.Join(cliCompilers(), " "))
	case "LEVEL":
		return fmt.Sprintf(shell.words, strings.Join(cliLevels, " "))
	case "OPT":
		return fmt.Sprintf(shell.words, strings.Join(optLevelNames[1:], " "))
	case "CPU":
		return fmt.Sprintf(shell.words, "native generic")
	case "MODE":
		return fmt.Sprintf(shell.words, "block exact")
	case "HOST", "DIR":
		return shell.folder
	case "NAME":
		if o.name == "env" {
			return shell.variable
		}
	case "FORMAT":
		return fmt.Sprintf(shell.words, "wasm native")
	case "OUT", "FILE":
		return shell.file
	}
	return shell.nothing
}

func cliBashScript() string {
	var commands, values strings.Builder
	seen := map[string]bool{}
	for _, command := range cliCommands() {
		fmt.Fprintf(&commands, "\t%s)\n\t\toptions='%s' valued=' %s '\n\t\t%s\n\t\t;;\n", command.name,
			strings.Join(command.flags(), " "), strings.Join(command.valued(), " "), command.bash())
		for _, option := range command.options {
			if option.value != "" && !seen[option.name] {
				seen[option.name] = true
				fmt.Fprintf(&values, "\t%s) %s ;;\n", option.flag(), option.completion(cliByShell{
					words: "words='%s'", folder: "kind=-d", variable: "kind=-e",
					file: "kind=-f", nothing: "kind=",
				}))
			}
		}
	}
	return strings.NewReplacer("COMMANDS", strings.Join(cliCommandNames(), " "), "\tCASES\n", commands.String(),
		"\tVALUES\n", values.String()).Replace(cliBashTemplate)
}

// bash is what the script knows of the command's operand.
func (c *cliCommand) bash() string {
	switch choices := c.choices(); {
	case choices != nil && c.second != "":
		return "choices='" + strings.Join(choices, " ") + "' second=-d"
	case choices != nil:
		return "choices='" + strings.Join(choices, " ") + "'"
	case c.guest:
		return "kind=module guest=yes"
	case c.operand != "":
		return "kind=module"
	}
	return "kind="
}

// In bash --option=value is three words. The script needs nothing that the bash 3.2 of macOS lacks.
const cliBashTemplate = `# bash completion for wasmer-go
_wasmer_go() {
	local cur=${COMP_WORDS[COMP_CWORD]} i=2 word option='' operand='' words=''
	local options='' valued='' choices='' kind='' guest='' second=''
	COMPREPLY=()
	[[ $cur == = ]] && cur=''
	case ${COMP_WORDS[1]} in
	CASES
	esac
	while ((i < COMP_CWORD)); do
		word=${COMP_WORDS[i]}
		((i++))
		if [[ $guest && $operand ]]; then
			break
		elif [[ $valued == *" $word "* ]]; then
			[[ ${COMP_WORDS[i]} == = ]] && ((i++))
			((i >= COMP_CWORD)) && option=$word
			((i++))
		elif [[ $word == - || $word != -* ]]; then
			operand=$word
		fi
	done
	case $option in
	VALUES
	'')
		if ((COMP_CWORD == 1)); then
			words='COMMANDS'
		elif [[ $guest && $operand ]]; then
			kind=-f
		elif [[ $cur == -* ]]; then
			words=$options
		elif [[ $operand ]]; then
			kind=$second
		elif [[ $choices ]]; then
			words=$choices
		fi
		;;
	esac
	if [[ $words ]]; then
		COMPREPLY=($(compgen -W "$words" -- "$cur"))
		return
	fi
	[[ $kind ]] || return
	compopt -o filenames 2>/dev/null
	while IFS= read -r word; do
		COMPREPLY+=("$word")
	done < <(
		if [[ $kind == module ]]; then
			compgen -d -- "$cur"
			compgen -f -X '!*.wasm' -- "$cur"
			compgen -f -X '!*.wat' -- "$cur"
		else
			compgen "$kind" -- "$cur"
		fi
	)
}
complete -F _wasmer_go wasmer-go
`

func cliZshScript() string {
	var commands, cases strings.Builder
	for _, command := range cliCommands() {
		fmt.Fprintf(&commands, "\t\t%s\n", cliShellQuote(command.name+":"+command.summary))
		fmt.Fprintf(&cases, "\t\t%s)\n\t\t\t_arguments %s\\\n", command.name, map[bool]string{true: "-A '-*' "}[command.guest])
		for _, option := range command.options {
			fmt.Fprintf(&cases, "\t\t\t\t%s \\\n", cliShellQuote(option.zsh()))
		}
		cases.WriteString("\t\t\t\t'(- *)'{-h,--help}'[explain the command]'")
		switch choices := command.choices(); {
		case choices != nil:
			fmt.Fprintf(&cases, " \\\n\t\t\t\t'1:word:(%s)'", strings.Join(choices, " "))
		case command.operand != "":
			cases.WriteString(" \\\n\t\t\t\t'1:module:_files -g \"*.(wasm|wat)\"'")
		}
		if command.second != "" {
			cases.WriteString(" \\\n\t\t\t\t'2:folder:_files -/'")
		}
		if command.guest {
			cases.WriteString(" \\\n\t\t\t\t'*:argument:_files'")
		}
		cases.WriteString("\n\t\t\t;;\n")
	}
	return strings.NewReplacer("\t\tCOMMANDS\n", commands.String(), "\t\tCASES\n", cases.String()).Replace(cliZshTemplate)
}

// zsh is the option as _arguments wants it.
func (o *cliOption) zsh() string {
	spec := o.flag()
	if o.repeated {
		spec = "*" + spec
	}
	if o.value != "" && len(o.name) > 1 {
		spec += "="
	}
	spec += "[" + strings.NewReplacer("[", `\[`, "]", `\]`, ":", `\:`).Replace(o.short()) + "]"
	if o.value == "" {
		return spec
	}
	return spec + ":value:" + o.completion(cliByShell{
		words: "(%s)", folder: "_files -/", variable: "_parameters -g '*export*'",
		file: "_files", nothing: " ",
	})
}

const cliZshTemplate = `#compdef wasmer-go
# zsh completion for wasmer-go
_wasmer_go() {
	local curcontext="$curcontext" state line
	local -a commands
	commands=(
		COMMANDS
	)
	_arguments -C '1:command:->command' '*::argument:->argument' && return
	case $state in
	command) _describe command commands ;;
	argument)
		case $words[1] in
		CASES
		esac
		;;
	esac
}
if [ "${funcstack[1]}" = _wasmer_go ]; then
	_wasmer_go "$@"
else
	compdef _wasmer_go wasmer-go
fi
`

func cliFishScript() string {
	var b strings.Builder
	b.WriteString("# fish completion for wasmer-go\ncomplete -c wasmer-go -f\n")
	for _, command := range cliCommands() {
		fmt.Fprintf(&b, "complete -c wasmer-go -n __fish_use_subcommand -a %s -d %s\n", command.name, cliShellQuote(command.summary))
	}
	for _, command := range cliCommands() {
		prefix := fmt.Sprintf("complete -c wasmer-go -n '__fish_seen_subcommand_from %s'", command.name)
		for _, option := range command.options {
			fmt.Fprintf(&b, "%s %s -d %s\n", prefix, option.fish(), cliShellQuote(option.short()))
		}
		fmt.Fprintf(&b, "%s -s h -l help -d 'explain the command'\n", prefix)
		switch choices := command.choices(); {
		case choices != nil:
			fmt.Fprintf(&b, "%s -a '%s'\n", prefix, strings.Join(choices, " "))
			if command.second != "" {
				fmt.Fprintf(&b, "%s -a '(__fish_complete_directories)'\n", prefix)
			}
		case command.operand != "":
			fmt.Fprintf(&b, "%s -F\n", prefix)
		}
	}
	return b.String()
}

// fish is the option as complete wants it.
func (o *cliOption) fish() string {
	flag := "-l " + o.name
	if len(o.name) == 1 {
		flag = "-s " + o.name
	}
	if o.value == "" {
		return flag
	}
	return flag + o.completion(cliByShell{
		words: " -x -a '%s'", folder: " -x -a '(__fish_complete_directories)'",
		variable: " -x -a '(set -nx)'", file: " -r -F", nothing: " -x",
	})
}

func cliShellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
