// Succeeds where npm runs its scripts in a shell that knows `exec`: everywhere but in the cmd.exe of Windows. `npm start`
// asks, since a shell that stays between npm and the server swallows the SIGINT that npm hands on.
process.exitCode = process.platform === "win32" ? 1 : 0;
