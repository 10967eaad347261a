package wasip1

// Rights are what may be done with a file descriptor.
//
// See https://github.com/WebAssembly/WASI/blob/main/legacy/preview1/docs.md#rights
type Rights uint64

// The rights in their order.
const (
	RightDatasync Rights = 1 << iota
	RightRead
	RightSeek
	RightSetFlags
	RightSync
	RightTell
	RightWrite
	RightAdvise
	RightAllocate
	RightCreateDirectory
	RightCreateFile
	RightLinkSource
	RightLinkTarget
	RightOpen
	RightReaddir
	RightReadlink
	RightRenameSource
	RightRenameTarget
	RightPathFilestat
	RightPathSetSize
	RightPathSetTimes
	RightFilestat
	RightSetSize
	RightSetTimes
	RightSymlink
	RightRemoveDirectory
	RightUnlinkFile
	RightPoll
	RightShutdown
	RightAccept

	allRights = RightAccept<<1 - 1
)

const (
	// streamRights are those of what has no position.
	streamRights = RightRead | RightWrite | RightSetFlags | RightFilestat | RightPoll | RightSync | RightDatasync
	fileRights   = streamRights | RightSeek | RightTell | RightAdvise | RightAllocate | RightSetSize | RightSetTimes
	// directoryRights are those that make sense for a directory itself.
	directoryRights = RightSetFlags | RightSync | RightDatasync | RightAdvise | RightCreateDirectory | RightCreateFile |
		RightLinkSource | RightLinkTarget | RightOpen | RightReaddir | RightReadlink | RightRenameSource |
		RightRenameTarget | RightPathFilestat | RightPathSetSize | RightPathSetTimes | RightFilestat | RightSetTimes |
		RightSymlink | RightRemoveDirectory | RightUnlinkFile | RightPoll
	socketRights   = RightRead | RightWrite | RightSetFlags | RightFilestat | RightPoll | RightShutdown
	listenerRights = RightAccept | RightRead | RightSetFlags | RightFilestat | RightPoll
)
