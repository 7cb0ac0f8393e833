# Hands one event (its name is the argument, its payload is stdin) to the hook client. The text is the same for every agent.
$hooks = Split-Path -Parent $PSScriptRoot
$client = Join-Path $hooks 'client/__main__.py'
if (-not (Test-Path -LiteralPath $client)) {
    $client = Join-Path (Split-Path -Parent $hooks) 'ai_memory/client/__main__.py'
}
$python = ''
$named = Join-Path $hooks 'python'
if (Test-Path -LiteralPath $named) { $python = (Get-Content -LiteralPath $named -TotalCount 1 -Encoding UTF8).Trim() }
if (-not $python -or -not (Test-Path -LiteralPath $python)) {
    $python = (Get-Command python3, python, py -CommandType Application -ErrorAction SilentlyContinue | Select-Object -First 1).Source
}
if ($python -and (Test-Path -LiteralPath $client)) {
    # Not through a pipeline: the payload must reach the client as the bytes that came.
    & $python -I -S $client (Split-Path -Leaf $PSScriptRoot) @args
} else {
    [Console]::Error.WriteLine('ai-memory: the hook client or a Python 3 is missing, this event is not kept')
}
exit 0
